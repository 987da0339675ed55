import { assert, assertEquals } from "@std/assert";
import { ask, assertRefuses, assertServes, doctor, summaryOf } from "./asked.ts";
import { Disk } from "./disk.ts";
import { EXT4, format, mountState } from "./filesystem.ts";
import type { Machine } from "./machine.ts";
import { recordRow } from "./page_row.ts";
import { SIZE } from "../size.ts";
import { cni, PROGRAM } from "./command_line.ts";
import { boot } from "./usermode.ts";
import { test } from "../both_errors.ts";

const FOLDER = "/var/lib/atomicni";
const FILE = `${FOLDER}/podnet.json`;

/** State files as a disk that ignored a flush leaves them. */
const DAMAGES: Record<string, string> = {
  "empty": `: >${FILE}`,
  "of NULs": `size=$(stat -c %s ${FILE}); head -c $size /dev/zero >${FILE}`,
  "cut in the middle": `truncate -s $(($(stat -c %s ${FILE}) / 2)) ${FILE}`,
};

for (const [damage, script] of Object.entries(DAMAGES).slice(0, SIZE === "full" ? 3 : 1)) {
  test(`a reboot, and the state file is ${damage}`, async () => {
    const disk = new Disk(await format(EXT4));
    {
      await using machine = await boot(disk);
      await mountState(machine, EXT4);
      await machine.must("chmod 700 /var/lib/atomicni; mkdir -p /run/netns");
      for (const id of ["c1", "c2"]) assertServes(await ask(machine, { id }));
      await machine.must(`${script}; umount ${FOLDER}`);
    }
    await using machine = await boot(disk);
    await mountState(machine, EXT4);
    await machine.must("mkdir -p /run/netns");
    await startsAnew(machine, damage);

    // The same while a container lives: it holds an address that no file records.
    await machine.must(script);
    const asked = await ask(machine, { id: "c3" });
    assertRefuses(asked, 104, /podnet\.json/);
    recordRow("rows", `the state file is ${damage}, and a container lives`, ...columns(asked));
    for (const id of ["c1", "c3"]) await machine.must(cni("DEL", { id, netns: id }));
  });
}

/** No container can hold an address: the next ADD allocates the first one and reports what it did. */
async function startsAnew(machine: Machine, damage: string): Promise<void> {
  const broken = await machine.must(`base64 -w0 ${FILE}`);
  for (const asking of ["list", "doctor"]) {
    const { stdout, stderr } = asking === "doctor"
      ? await doctor(machine)
      : await machine.sh(`${PROGRAM} list`);
    assert(
      `${stdout}${stderr}`.includes(FILE),
      `${asking} does not name ${FILE}: ${stdout}${stderr}`,
    );
  }
  assertEquals((await machine.sh(cni("STATUS"))).code, 0, "STATUS before the ADD");
  const files = (await machine.must(`ls -A ${FOLDER}`)).split("\n");
  const asked = await ask(machine, { id: "c1" });
  assertServes(asked);
  assert(asked.add.stderr.includes(FILE), `the ADD does not name ${FILE}: ${asked.add.stderr}`);
  const now = (await machine.must(`ls -A ${FOLDER}`)).split("\n");
  const kept: string[] = [];
  for (const file of now.filter((it) => !files.includes(it) && !it.endsWith(".lock"))) {
    if (await machine.must(`base64 -w0 ${FOLDER}/${file}`) === broken) kept.push(file);
  }
  assertEquals(kept.length, 1, `the broken file is not kept: ${now}`);
  recordRow("rows", `the state file is ${damage} after a reboot`, ...columns(asked));
}

function columns({ add, status, doctor }: Awaited<ReturnType<typeof ask>>): string[] {
  const [kept = ""] = add.stderr.split("\n");
  const said = summaryOf(add) === "works" ? `works: ${kept}` : summaryOf(add);
  return [said, summaryOf(status), doctor.code === 2 ? "an ADD would fail" : "works"];
}
