import { asCniError, type CniError, ifThere, unlessMalformed } from "../base/errors.ts";
import { type NetworkName, parseNetworkName } from "../base/names.ts";
import { STATE_FOLDER } from "../base/scope.ts";
import type { State } from "./state.ts";
import { readState } from "./statefile.ts";

/** One network that has a state file. */
export interface Held {
  readonly network: NetworkName;
  readonly dataDir: string;
  readonly state: State;
}

/** The networks with a readable state file, and those with an unreadable one. */
export interface Networks {
  readonly held: readonly Held[];
  readonly unreadable: readonly (Omit<Held, "state"> & { readonly error: CniError })[];
}

/** Reads each `*.json` in the state folder and the folders below. It takes no lock and changes nothing. Throws IOFailure. */
export function readNetworks(): Networks {
  const held: Held[] = [];
  const unreadable: Networks["unreadable"][number][] = [];
  for (const place of stateFiles(STATE_FOLDER)) {
    try {
      const { state, file } = readState(place.dataDir, place.network);
      file?.close();
      held.push({ ...place, state });
    } catch (error) {
      unreadable.push({ ...place, error: asCniError(error) });
    }
  }
  const key = ({ network, dataDir }: Held) => `${network} ${dataDir}`;
  held.sort((a, b) => key(a) < key(b) ? -1 : 1);
  return { held, unreadable };
}

/** Those of the networks that are not this one. A network of the same name in another folder is another network. */
export function othersThan(
  { name, dataDir }: { readonly name: NetworkName; readonly dataDir: string },
  held: readonly Held[],
): Held[] {
  return held.filter((it) => it.network !== name || it.dataDir !== dataDir);
}

function stateFiles(folder: string): { network: NetworkName; dataDir: string }[] {
  const entries = ifThere("list", folder, () => [...Deno.readDirSync(folder)]) ?? [];
  return entries.flatMap(({ name, isDirectory }) => {
    // No network name begins with a dot.
    if (name.startsWith(".")) return [];
    if (isDirectory) return stateFiles(`${folder}/${name}`);
    if (!name.endsWith(".json")) return [];
    // A link or a FIFO of that name makes `readState` throw, and is reported as unreadable.
    const network = unlessMalformed(() => parseNetworkName(name.slice(0, -".json".length)));
    return network === undefined ? [] : [{ network, dataDir: folder }];
  });
}
