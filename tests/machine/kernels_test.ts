import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { run } from "../integration/host.ts";
import { Disk } from "./disk.ts";
import { EXT4, format, mountState } from "./filesystem.ts";
import type { Machine } from "./machine.ts";
import { record, SIZE } from "./outcome.ts";
import { cni, NETWORK, PROGRAM, quote } from "./podnet.ts";
import { scratchFolder } from "./power.ts";
import { type Accelerator, accelerator, emulate, prepare } from "./qemu.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
/** Both forms, where both were built. */
const PROGRAMS = [...new Set([PROGRAM, `${ROOT}bin/atomicni`, `${ROOT}bin/atomicni.js`])].filter(
  (it) => {
    try {
      return Deno.statSync(it).isFile;
    } catch {
      return false;
    }
  },
);

Deno.test({ name: "kernels", ignore: SIZE === "short" }, async (t) => {
  const fetched = await run(["sh", `${ROOT}tools/kernels`]);
  assertEquals(fetched.code, 0, fetched.stderr);
  let how: Accelerator | undefined;
  for (const unpacked of fetched.stdout.trim().split("\n")) {
    await t.step(unpacked.replace(/^.*\//, ""), async () => {
      using folder = scratchFolder();
      const kernel = await prepare(unpacked, PROGRAMS, folder.path);
      how ??= await accelerator(kernel);
      const disk = new Disk(await format(EXT4));
      await using machine = await emulate(kernel, disk, how);
      assertEquals(machine.kernel, kernel.version);
      await mountState(machine, EXT4);
      await machine.must("chmod 700 /var/lib/atomicni; ip netns add c1; ip netns add c2");
      for (const program of PROGRAMS) await life(machine, program);
      await filtered(machine);
      const forms = PROGRAMS.map((it) => it.replace(/^.*\//, "")).join(", ");
      record(
        "kernels",
        kernel.version,
        how,
        forms,
        "ADD, ping, CHECK, STATUS, list, DEL; VLAN filtering",
      );
    });
  }
});

/** Two attachments from ADD to DEL. */
async function life(machine: Machine, program: string): Promise<void> {
  const result = await machine.must(cni("ADD", { program }));
  await machine.must(cni("ADD", { program, id: "c2", netns: "c2" }));
  for (const address of ["10.88.0.1", "10.88.0.3"]) await ping(machine, address);
  const network = { ...NETWORK, prevResult: JSON.parse(result) };
  await machine.must(cni("CHECK", { program, network }));
  await machine.must(cni("STATUS", { program }));
  const list = JSON.parse(await machine.must(`${quote(program)} list --json`));
  assertEquals(list.attachments.length, 2);
  for (const id of ["c1", "c2"]) await machine.must(cni("DEL", { program, id, netns: id }));
  assertEquals((await machine.sh("ls /sys/class/net | grep ^av")).stdout, "");
  await machine.must("ip link del dev atomic0; rm /var/lib/atomicni/podnet.json");
}

/** A bridge that filters VLANs carries what is in its default one. */
async function filtered(machine: Machine): Promise<void> {
  await machine.must("ip link add name atomic0 type bridge vlan_filtering 1");
  await machine.must(cni("ADD"));
  await ping(machine, "10.88.0.1");
  await machine.must(cni("DEL"));
}

async function ping(machine: Machine, address: string): Promise<void> {
  await machine.must(`ip netns exec c1 busybox ping -c 1 -W 9 ${address}`);
}
