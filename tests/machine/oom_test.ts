import { assert, assertEquals } from "@std/assert";
import { ask, assertServes, found, summaryOf } from "./asked.ts";
import { Disk } from "./disk.ts";
import { EXT4, format, mountState } from "./filesystem.ts";
import { recordRow } from "./page_row.ts";
import { cni } from "./command_line.ts";
import { boot } from "./usermode.ts";
import { test } from "../both_errors.ts";

const GROUP = "/sys/fs/cgroup/add";
/** Moments of an ADD at which its memory is taken away. The loop starts no process, so that it is faster than the ADD. */
const MOMENTS: Record<string, string> = {
  "before the host veth": "sleep 0.1",
  "at the host veth":
    `veth=; until [ -e "$veth" ]; do for veth in /sys/class/net/av*; do :; done; done`,
  "at the lease": "until [ /var/lib/atomicni/podnet.json -nt /run/before ]; do :; done",
};

test("a machine on which the kernel kills an ADD that is out of memory", async () => {
  const disk = new Disk(await format(EXT4));
  await using machine = await boot(disk);
  await mountState(machine, EXT4);
  await machine.must("chmod 700 /var/lib/atomicni; ip netns add c1");
  await machine.must(`echo +memory >/sys/fs/cgroup/cgroup.subtree_control; mkdir ${GROUP}`);
  const left: string[] = [];
  for (const [moment, until] of Object.entries(MOMENTS)) {
    const kills = () => machine.must(`sed -n 's/^oom_kill //p' ${GROUP}/memory.events`);
    const before = await kills();
    await machine.must(`
      echo max >${GROUP}/memory.max
      touch /run/before
      sleep 0.1
      (sh -c 'echo $PPID >${GROUP}/cgroup.procs'; ${cni("ADD")} >/run/add) &
      ${until}
      echo 1M >${GROUP}/memory.max
      wait`);
    assert(Number(await kills()) > Number(before), `${moment}: nothing was killed`);
    left.push(await machine.must("ls /sys/class/net | grep -c '^av' || :"));
    await machine.must(cni("DEL"));
    const veths = await machine.sh("ls /sys/class/net | grep '^av'");
    const lease = await machine.sh("grep c1/eth0 /var/lib/atomicni/podnet.json");
    assertEquals([veths.stdout, lease.stdout], ["", ""], moment);
  }
  // If the kernel kills an ip first, the ADD goes on and rolls back its veth.
  assert(left.includes("1"), `no kill left a host veth: ${left}`);
  const asked = await ask(machine, { id: "c1" });
  assertServes(asked);
  const { add, status, doctor } = asked;
  const name = `an ADD killed for want of memory ${Object.keys(MOMENTS).join(", ")}; one DEL`;
  recordRow("rows", name, summaryOf(add), summaryOf(status), found(doctor));
});
