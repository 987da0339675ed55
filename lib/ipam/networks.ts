import { asCniError, CniError, Malformed } from "../base/errors.ts";
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

/** Every network with a readable state file, and an error for each unreadable one. */
export interface Networks {
  readonly held: readonly Held[];
  readonly errors: readonly CniError[];
  /** The networks with an unreadable state file. */
  readonly unreadable: readonly Omit<Held, "state">[];
}

/** Reads each `*.json` in the state folder and the folders below. It takes no lock and changes nothing. Throws IOFailure. */
export function readNetworks(): Networks {
  const held: Held[] = [];
  const errors: CniError[] = [];
  const unreadable: Omit<Held, "state">[] = [];
  for (const { network, dataDir } of stateFiles(STATE_FOLDER)) {
    try {
      const { state, file } = readState(dataDir, network);
      file?.close();
      held.push({ network, dataDir, state });
    } catch (error) {
      errors.push(asCniError(error));
      unreadable.push({ network, dataDir });
    }
  }
  held.sort((a, b) => compareText(a.network, b.network) || compareText(a.dataDir, b.dataDir));
  return { held, errors, unreadable };
}

function stateFiles(folder: string): { network: NetworkName; dataDir: string }[] {
  const found: { network: NetworkName; dataDir: string }[] = [];
  try {
    for (const { name, isDirectory } of Deno.readDirSync(folder)) {
      // No network name begins with a dot.
      if (name.startsWith(".")) continue;
      if (isDirectory) found.push(...stateFiles(`${folder}/${name}`));
      // A link or a FIFO of that name makes `readState` throw, and is reported as unreadable.
      else if (name.endsWith(".json")) {
        const network = networkNamed(name.slice(0, -".json".length));
        if (network !== undefined) found.push({ network, dataDir: folder });
      }
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return found;
    const denied = error instanceof Deno.errors.PermissionDenied;
    throw new CniError("IOFailure", `Cannot list "${folder}": ${(error as Error).message}`, {
      details: denied
        ? "only root may read it: run this as root"
        : `see what it is: ls -ld ${folder}`,
      cause: error,
    });
  }
  return found;
}

function networkNamed(text: string): NetworkName | undefined {
  try {
    return parseNetworkName(text);
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
