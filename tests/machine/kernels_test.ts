import { assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { run } from "../integration/host.ts";
import { documentOf } from "./asked.ts";
import { Disk } from "./disk.ts";
import { EXT4, format, mountState } from "./filesystem.ts";
import type { Machine } from "./machine.ts";
import { recordRow } from "./page_row.ts";
import { SIZE } from "../size.ts";
import { cni, DUAL, PROGRAM, quote } from "./command_line.ts";
import { scratchFolder } from "./power.ts";
import { type Accelerator, accelerator, emulate, makeRootFileSystem } from "./qemu.ts";
import { bothErrors, test } from "../both_errors.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const GUARDED = { ...DUAL, macspoofchk: true };
/** Both build forms, if both exist. */
const PROGRAMS = [...new Set([PROGRAM, `${ROOT}bin/atomicni`, `${ROOT}bin/atomicni.js`])].filter(
  (it) => {
    try {
      return Deno.statSync(it).isFile;
    } catch {
      return false;
    }
  },
);

test({ name: "kernels", ignore: SIZE === "short" }, async (t) => {
  const fetched = await run(["sh", `${ROOT}tests/machine/kernels`]);
  assertEquals(fetched.code, 0, fetched.stderr);
  let how: Accelerator | undefined;
  for (const unpacked of fetched.stdout.trim().split("\n")) {
    const tried = bothErrors(async () => {
      using folder = scratchFolder();
      const kernel = await makeRootFileSystem(unpacked, PROGRAMS, folder.path);
      how ??= await accelerator(kernel);
      const disk = new Disk(await format(EXT4));
      await using machine = await emulate(kernel, disk, how);
      assertEquals(machine.kernel, kernel.version);
      await mountState(machine, EXT4);
      await machine.must("chmod 700 /var/lib/atomicni; ip netns add c1; ip netns add c2");
      const isGuarding = hasLockedPorts(kernel.version);
      for (const program of PROGRAMS) {
        await (isGuarding ? guarded : notGuarded)(machine, program);
        await life(machine, program);
      }
      await filtered(machine);
      const forms = PROGRAMS.map((it) => it.replace(/^.*\//, "")).join(", ");
      recordRow(
        "kernels",
        kernel.version,
        how,
        forms,
        "ADD, ping, CHECK, STATUS, list, DEL with both families; VLAN filtering",
        isGuarding ? "works" : "refused, code 2; nothing but the bridge stays",
      );
    });
    await t.step(unpacked.replace(/^.*\//, ""), tried);
  }
});

/** The guard needs them: Linux 5.18. */
function hasLockedPorts(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 5 || (major === 5 && minor >= 18);
}

/** Two attachments from ADD to DEL, with an address of each family. */
async function life(machine: Machine, program: string): Promise<void> {
  const result = await machine.must(cni("ADD", { program, network: DUAL }));
  await machine.must(cni("ADD", { program, network: DUAL, id: "c2", netns: "c2" }));
  for (const it of ["10.86.0.1", "10.86.0.3", "fd00:88::1", "fd00:88::3"]) await ping(machine, it);
  const network = { ...DUAL, prevResult: JSON.parse(result) };
  await machine.must(cni("CHECK", { program, network }));
  await machine.must(cni("STATUS", { program, network: DUAL }));
  const { attachments } = JSON.parse(await machine.must(`${quote(program)} list --json`));
  assertEquals(attachments.length, 2);
  for (const id of ["c1", "c2"]) {
    await machine.must(cni("DEL", { program, network: DUAL, id, netns: id }));
  }
  await nothingStays(machine);
}

/** An older kernel: the guard is refused, and the ADD rolls back the veth that it made. */
async function notGuarded(machine: Machine, program: string): Promise<void> {
  const refused = documentOf(await machine.sh(cni("ADD", { program, network: GUARDED })));
  assertEquals(refused.code, 2, JSON.stringify(refused));
  assertMatch(refused.msg, /macspoofchk/);
  await nothingStays(machine);
}

/** A newer kernel: the container's own frames pass, and frames with another MAC do not. */
async function guarded(machine: Machine, program: string): Promise<void> {
  const result = await machine.must(cni("ADD", { program, network: GUARDED }));
  for (const it of ["10.86.0.1", "fd00:88::1"]) await ping(machine, it);
  const network = { ...GUARDED, prevResult: JSON.parse(result) };
  await machine.must(cni("CHECK", { program, network }));
  const own = await machine.must("ip netns exec c1 cat /sys/class/net/eth0/address");
  const become = (mac: string) => machine.must(`ip -n c1 link set dev eth0 address ${mac}`);
  await become("02:00:00:00:00:01");
  const forged = await machine.sh("ip netns exec c1 busybox ping -c 1 -W 3 10.86.0.1");
  assertEquals(forged.code, 1, `a forged MAC is let through: ${forged.stdout}`);
  await become(own);
  await ping(machine, "10.86.0.1");
  await machine.must(cni("DEL", { program, network: GUARDED }));
  assertEquals(await machine.must("ip neigh show dev atomic0 nud permanent"), "");
  await nothingStays(machine);
}

/** No veth, nothing in the container, no lease. Removes the bridge, so that the next form creates its own. */
async function nothingStays(machine: Machine): Promise<void> {
  assertEquals((await machine.sh("ls /sys/class/net | grep ^av")).stdout, "");
  assertEquals(await machine.must("ip netns exec c1 ls /sys/class/net"), "lo");
  const { stdout } = await machine.sh("cat /var/lib/atomicni/podnet.json");
  assertEquals(stdout === "" ? {} : JSON.parse(stdout).containerToIP, {});
  await machine.must("ip link del dev atomic0; rm -f /var/lib/atomicni/podnet.json");
}

/** A bridge that filters VLANs forwards the frames of its default VLAN. */
async function filtered(machine: Machine): Promise<void> {
  await machine.must("ip link add name atomic0 type bridge vlan_filtering 1");
  await machine.must(cni("ADD"));
  await ping(machine, "10.86.0.1");
  await machine.must(cni("DEL"));
}

async function ping(machine: Machine, address: string): Promise<void> {
  await machine.must(`ip netns exec c1 busybox ping -c 1 -W 9 ${address}`);
}
