import type { NetworkName } from "../base/names.ts";
import { namesIn } from "./files.ts";

/** A name that can't be a state file or a lock, because network names start with a letter or digit. */
export function temporaryName(network: NetworkName): string {
  return `.${network}.${crypto.getRandomValues(new Uint8Array(8)).toHex()}.tmp`;
}

/** Paths of this network's temporary files, including the files of killed runs. */
export function temporaries(dataDir: string, network: NetworkName): string[] {
  return namesIn(dataDir).filter((name) =>
    name.startsWith(`.${network}.`) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(network.length + 2))
  ).map((name) => `${dataDir}/${name}`);
}
