import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { ask, documentOf } from "./asked.ts";
import { Disk } from "./disk.ts";
import { EXT4, format, mountState } from "./filesystem.ts";
import type { Machine } from "./machine.ts";
import { recordRow } from "./page_row.ts";
import { type Call, cni, PROGRAM } from "./command_line.ts";
import { boot } from "./usermode.ts";
import { bothErrors, test } from "../both_errors.ts";
import { untilSh } from "../until.ts";

const DEPLOY = fromFileUrl(new URL("../../deploy", import.meta.url));
const FOLDER = "/var/lib/atomicni";
const DEAD = ["c1", "c2", "c3"];

/** Applies the shipped files as systemd's units do at each boot. */
const AT_BOOT = `
  systemd-tmpfiles --create ${DEPLOY}/atomicni.tmpfiles
  /usr/lib/systemd/systemd-sysctl ${DEPLOY}/atomicni.sysctl`;

test("a reboot with a full pool: /run is gone, the state is not", async (t) => {
  const disk = new Disk(await format(EXT4));
  const firstBoot = bothErrors(async () => {
    await using machine = await boot(disk);
    await mountState(machine, EXT4);
    await machine.must(`chmod 755 ${FOLDER}`);
    await bootFiles(machine);
    for (const id of DEAD) await add(machine, id);
    const asked = await ask(machine, { id: "c4" });
    assertEquals(documentOf(asked.add).code, 101, asked.add.stdout);
    assertEquals(documentOf(asked.status).code, 50, asked.status.stdout);
    await machine.must(`umount ${FOLDER}`);
  });
  await t.step("the first boot fills the pool", firstBoot);
  await using machine = await boot(disk);
  await mountState(machine, EXT4);
  await t.step("without /run/netns an ADD names the remedy", async () => {
    await machine.must(`unshare -n sleep 600 & echo $! >/run/sandbox
      ${
      untilSh(
        '[ "$(readlink /proc/$(cat /run/sandbox)/ns/net)" != "$(readlink /proc/self/ns/net)" ]',
      )
    }`);
    const { stdout } = await machine.sh(inSandbox("ADD"));
    assertEquals(documentOf({ code: 1, stdout, stderr: "" }).code, 8, stdout);
    recordRow("reboot", "no /run/netns yet", "code 8 with the remedy");
  });
  await t.step(
    "with the files at boot, STATUS reports no error and an ADD succeeds at once",
    async () => {
      await bootFiles(machine);
      assertEquals((await machine.sh(cni("STATUS"))).code, 0, "STATUS before the first ADD");
      await machine.must(inSandbox("ADD"));
      await machine.must("nsenter -n -t $(cat /run/sandbox) busybox ping -c 1 -W 3 10.86.0.1");
      recordRow(
        "reboot",
        "systemd-tmpfiles and systemd-sysctl with deploy/",
        "folder 0700, /run/netns, forwarding on",
      );
    },
  );
  await t.step("the runtime deletes the dead and starts them again", async () => {
    for (const id of DEAD) await machine.must(cni("DEL", { id, netns: id }));
    for (const id of DEAD.slice(1)) await add(machine, id);
    await machine.must(inSandbox("DEL"));
    for (const id of DEAD) await machine.must(cni("DEL", { id, netns: id }));
    const list = JSON.parse(await machine.must(`${PROGRAM} list --json`));
    assertEquals(list, { attachments: [], errors: [] });
    recordRow(
      "reboot",
      "a full pool of the dead",
      "ADD at once; DEL of the dead; ADD of the same names",
    );
  });
});

/** A container whose namespace has no name, as containerd makes them for a moment. */
function inSandbox(command: string): string {
  const call: Call = { id: "d1", netns: "sandbox" };
  return cni(command, call).replace("/run/netns/sandbox'", "/proc/'$(cat /run/sandbox)/ns/net");
}

async function add(machine: Machine, id: string): Promise<void> {
  await machine.must(`ip netns add ${id}; ${cni("ADD", { id, netns: id })}`);
}

async function bootFiles(machine: Machine): Promise<void> {
  await machine.must(AT_BOOT);
  const found = await machine.must(`stat -c '%a %U' ${FOLDER} /run/netns
    cat /proc/sys/net/ipv4/ip_forward`);
  assertEquals(found, "700 root\n755 root\n1");
}
