import { untilSh } from "../until.ts";
import type { Host } from "./host.ts";

const ENTERED = '[ "$(readlink /proc/$pid/ns/net)" != "$(readlink /proc/self/ns/net)" ]';

/**
 * Starts a process in a network namespace without a name below /run/netns, as Docker has them. Returns its process ID.
 * It ends by itself after 100 s.
 */
export async function unnamedNamespace(host: Host): Promise<string> {
  const script = `unshare -n sleep 100 >/run/unnamed.log 2>&1 & pid=$!\n${untilSh(ENTERED)}`;
  return (await host.sh(`${script}\necho $pid`)).trim();
}
