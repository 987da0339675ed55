import { fromFileUrl } from "@std/path/posix";
import { STATE_FOLDER } from "../integration/host.ts";
import { type Expected, faultsOf } from "./history.ts";
import type { Machine } from "./machine.ts";
import { cni, NAME, NETWORK, PROGRAM, quote } from "./command_line.ts";

const STORM = fromFileUrl(new URL("guest/storm.sh", import.meta.url));
/** Longer than any storm lasts. */
const FOREVER_MS = 600_000;
const STATE_FILE = `${STATE_FOLDER}/${NAME}.json`;

/** Three workers add, check and delete containers until the power goes. */
export function startStorm(machine: Machine, tag: string, program: string): void {
  const network = JSON.stringify(NETWORK).slice(0, -1);
  machine.sh(`${STORM} ${[program, tag, network].map(quote).join(" ")}`, FOREVER_MS).catch(
    () => {},
  );
}

/** The faults of the state folder after a cut. */
export async function look(machine: Machine, expected: Expected): Promise<string[]> {
  const found = await machine.sh(`cat ${STATE_FILE}`);
  return faultsOf(found.code === 0 ? found.stdout : undefined, expected);
}

/** The faults of the plugin on the state that the cut left. */
export async function use(machine: Machine): Promise<string[]> {
  const faults: string[] = [];
  // Whatever leases dead containers have: two of the pool's three addresses can be allocated at once, none of them twice.
  const addresses: string[] = [];
  for (const id of ["probe1", "probe2"]) {
    const add = await machine.sh(
      `ip netns add ${id} 2>/dev/null; ${cni("ADD", { id, netns: id, program: PROGRAM })}`,
    );
    const address = /"address":\s*"([0-9.]+)/.exec(add.stdout)?.[1];
    if (add.code !== 0 || address === undefined) faults.push(`ADD after the cut: ${add.stdout}`);
    else if (addresses.includes(address)) {
      faults.push(`${address} was allocated twice after the cut`);
    } else addresses.push(address);
  }
  const files = await machine.must(`ls -A ${STATE_FOLDER}`);
  if (/\.tmp$/m.test(files)) faults.push(`a temporary file outlives an ADD: ${files}`);
  const list = await machine.sh(`${PROGRAM} list --json`);
  // Leases of dead containers are stale: exit status 1. Without an error, the state was read.
  const isRead = list.code <= 1 && list.stdout.includes('"errors":[]');
  if (!isRead) faults.push(`list after the cut: ${list.stdout}${list.stderr}`);
  // The leases are garbage from now on.
  await machine.sh("for it in /sys/class/net/av*; do ip link del dev ${it##*/}; done");
  return faults;
}
