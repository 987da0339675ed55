import { assert, assertEquals } from "@std/assert";
import {
  type Answer,
  type CniCall,
  CONFIG,
  Host,
  hostTest,
  type Json,
  STATE_FOLDER,
} from "../integration/host.ts";
import { addressesOf, allAddresses, DUAL, permanent } from "./dual.ts";
import { recordFault } from "./fault.ts";
import { SIZE } from "../size.ts";
import { test } from "../both_errors.ts";

const ERRORS = SIZE === "full" ? ["EIO", "ENOSPC", "EROFS", "EACCES", "EMFILE", "EDQUOT"] : ["EIO"];
const CALLS = "openat,write,fdatasync,fsync,rename,flock,ftruncate,statx,getdents64,unlink";

interface Place {
  readonly call: string;
  readonly nth: number;
  readonly line: string;
}

/** Each system call of a run that touches the state folder or writes to `ip`, with its ordinal among calls of that name. */
async function placesOf(host: Host, command: string, call: CniCall): Promise<Place[]> {
  const under = ["strace", "-y", "-o", "/run/trace", "-e", `trace=${CALLS}`];
  assertEquals((await host.cni(command, { ...call, under })).code, 0);
  const counts = new Map<string, number>();
  const places: Place[] = [];
  for (const line of (await host.sh("cat /run/trace")).split("\n")) {
    const name = line.slice(0, line.indexOf("("));
    const nth = (counts.get(name) ?? 0) + 1;
    counts.set(name, nth);
    // The script form keeps Deno's cache in that folder, which is not the state.
    const isTelling = /^write\(\d+<pipe:.*"(?:link|addr|neigh) /.test(line);
    if (isTelling || (line.includes(STATE_FOLDER) && !line.includes("/.deno"))) {
      places.push({ call: name, nth, line: line.slice(0, 100) });
    }
  }
  const own = places.filter(({ line }) => /podnet|fsync|getdents|"(?:link|addr|neigh) /.test(line));
  if (SIZE === "full") return own;
  // The short form takes the first of the calls that differ only in numbers.
  return [...new Map(own.toReversed().map((it) => [it.line.replaceAll(/\d+/g, ""), it]))
    .values()];
}

async function look(host: Host): Promise<Json> {
  return {
    veths: await host.hostVeths(),
    leases: await host.leases(),
    c1: await allAddresses(host, "c1", "eth0"),
    c2: await allAddresses(host, "c2", "eth0"),
    neighbours: await permanent(host, "", CONFIG.bridge),
    temporaries: (await host.files()).filter((it) => it.endsWith(".tmp")),
  };
}

/** Asserts that a failed ADD changed nothing, and that another DEL leaves nothing of c1. */
async function judge(
  host: Host,
  command: string,
  answer: Answer,
  before: Json,
  isHit: boolean,
): Promise<void> {
  const { code, json, stdout } = answer;
  const after = await look(host);
  assert(!isHit || code === 0 || [5, 104].includes(json?.code), stdout);
  const isReported = String(json?.details).includes("the next DEL will");
  if (command === "ADD" && json !== undefined && code !== 0 && !isReported) {
    assertEquals(after, before, stdout);
  }
  if (code === 0) {
    const all = [after.veths.length, Object.keys(after.leases).length, after.c1.length];
    const own = command === "ADD" ? [2, 2, 2] : [1, 1, 0];
    assertEquals(all, own, "not what a success says");
  }
  for (const id of ["c1", "c2"]) {
    const held = addressesOf(after.leases[`${id}/eth0`]);
    for (const ip of after[id]) assert(held.includes(ip), stdout);
  }
  await host.del({ id: "c1", config: DUAL });
  const left = await look(host);
  assertEquals([left.veths.length, Object.keys(left.leases)], [1, ["c2/eth0"]], stdout);
  assertEquals(left.temporaries, []);
  assertEquals((await host.files()).filter((it) => it.endsWith(".add")), [], "a mark is left");
  assertEquals(left.neighbours, addressesOf(left.leases["c2/eth0"]));
}

const VALID = { "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }] };

for (const command of ["ADD", "DEL", "GC"]) {
  test(`files: guarded dual-stack ${command}: each system call on the state fails`, async () => {
    await using host = await Host.create();
    await host.containers("c1", "c2");
    await host.add({ id: "c2", config: DUAL });
    const call = { config: command === "GC" ? { ...DUAL, ...VALID } : DUAL };
    const prepare = async () => {
      if (command !== "ADD") await host.add({ id: "c1", config: DUAL });
    };
    await prepare();
    const places = await placesOf(host, command, call);
    assert(places.length >= 8, JSON.stringify(places));
    await host.del({ id: "c1", config: DUAL });
    let tries = 0;
    for (const { call: name, nth, line } of places) {
      for (const error of ERRORS) {
        await prepare();
        const before = await look(host);
        const under = ["strace", "-y", "-qq", "-o", "/run/trace"];
        under.push("-e", `trace=${name}`, "-e", `inject=${name}:error=${error}:when=${nth}`);
        const answer = await host.cni(command, { ...call, under });
        // The number of writes varies between runs, so another write may have failed.
        const { stdout } = await host.run(["grep", "INJECTED", "/run/trace"]);
        const isHit = stdout.includes(STATE_FOLDER);
        if (stdout !== "") tries++;
        try {
          await judge(host, command, answer, before, isHit);
        } catch (failure) {
          throw new Error(`${error} at ${line}: ${failure}`, { cause: failure });
        }
      }
    }
    recordFault({
      fault:
        `guarded dual-stack ${command}: each of ${places.length} system calls on the state fails (${
          ERRORS.join(", ")
        })`,
      tries,
      outcome: "rolled back or reported, code 5; one DEL and nothing is left",
    });
  });
}

/** Moves Deno's cache elsewhere, so that it can't free space or inodes on the full file system. */
const APART = `mkdir -p -m 700 ${STATE_FOLDER}/.deno
      mount -t tmpfs -o mode=700 tmpfs ${STATE_FOLDER}/.deno`;

/** Real faults: a name, the commands that cause the fault, and the commands that remove it. */
const REAL: Record<string, { make: string; restore: string; under?: readonly string[] }> = {
  "ENOSPC, a full file system": {
    make: `${APART}
      mount -o remount,size=4m ${STATE_FOLDER}
      dd if=/dev/zero of=${STATE_FOLDER}/filler bs=1k 2>/run/err || :`,
    restore: `rm ${STATE_FOLDER}/filler`,
  },
  "ENOSPC, no inode": {
    make: `${APART}
      mount -o remount,nr_inodes=$(($(stat -f -c '%c - %d' ${STATE_FOLDER}))) ${STATE_FOLDER}`,
    restore: `mount -o remount,nr_inodes=10000 ${STATE_FOLDER}`,
  },
  "EROFS, mounted read-only": {
    make: `mount -o remount,ro ${STATE_FOLDER}`,
    restore: `mount -o remount,rw ${STATE_FOLDER}`,
  },
  "EACCES, another user's folder": {
    make: `chown 1000 ${STATE_FOLDER}`,
    restore: `chown 0 ${STATE_FOLDER}`,
  },
  "EACCES, a state file without permission, as root without capabilities": {
    make: `chown 1000 ${STATE_FOLDER}/podnet.json`,
    restore: `chown 0 ${STATE_FOLDER}/podnet.json`,
    under: ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"],
  },
};

for (const [name, { make, restore, under = [] }] of Object.entries(REAL)) {
  hostTest(`files: ${name}`, async (host) => {
    await host.containers("c1", "c2", "c3");
    await host.add({ id: "c2" });
    await host.add({ id: "c3" });
    const before = await look(host);
    await host.sh(make);
    const added = await host.cni("ADD", { id: "c1", under });
    assertEquals(added.code, 1, added.stdout);
    assert([5, 104].includes(added.json?.code), added.stdout);
    const status = await host.cni("STATUS", { under });
    assertEquals(status.json?.code, 50, status.stdout);
    const removed = await host.cni("DEL", { id: "c3", under });
    assertEquals(removed.code, 1, removed.stdout);
    assertEquals((await host.hostVeths()).length, 1, "the veth goes whatever the state does");
    await host.sh(restore);
    assertEquals((await host.leases())["c2/eth0"], before.leases["c2/eth0"]);
    await host.del({ id: "c3" });
    await host.add({ id: "c1" });
    for (const id of ["c1", "c2"]) await host.del({ id });
    await host.assertNothingLeft();
    recordFault({
      fault: name,
      tries: 2,
      outcome: "ADD rolled back, DEL removes the veth; then another DEL",
    });
  });
}

hostTest("files: STATUS and an ADD agree about each number of free inodes", async (host) => {
  await host.containers("c1");
  await host.sh(`mount -t tmpfs -o mode=0700 tmpfs ${STATE_FOLDER}; ${APART}`);
  for (let free = 0; free <= 3; free++) {
    await host.sh(`rm -f ${STATE_FOLDER}/podnet.*
      mount -o remount,nr_inodes=$(($(stat -f -c '%c - %d' ${STATE_FOLDER}) + ${free})) ${STATE_FOLDER}`);
    const [status, added] = [await host.cni("STATUS"), await host.cni("ADD", { id: "c1" })];
    // The mark, the lock and the state.
    assertEquals([status.code, added.code], free < 3 ? [1, 1] : [0, 0], `${free}: ${added.stdout}`);
  }
});

test("files: EMFILE, each limit of open files that a run can have", async () => {
  await using host = await Host.create();
  await host.containers("c1", "c2");
  await host.add({ id: "c2" });
  const outcomes: Record<string, number> = {};
  for (let limit = 8; limit <= 44; limit += SIZE === "full" ? 1 : 3) {
    const under = ["prlimit", `--nofile=${limit}:${limit}`];
    const before = await look(host);
    const { code, json, stdout } = await host.cni("ADD", { id: "c1", under });
    const how = code === 0 ? "worked" : json === undefined ? "did not start" : `code ${json.code}`;
    outcomes[how] = (outcomes[how] ?? 0) + 1;
    const isReported = String(json?.details).includes("the next DEL will");
    if (code !== 0 && !isReported) assertEquals(await look(host), before, `${limit}: ${stdout}`);
    await host.del({ id: "c1" });
    const { veths, leases } = await look(host);
    assertEquals([veths.length, Object.keys(leases)], [1, ["c2/eth0"]], `limit ${limit}`);
  }
  recordFault({
    fault: "EMFILE: ADD with 8 to 44 open files allowed",
    tries: Object.values(outcomes).reduce((sum, it) => sum + it, 0),
    outcome: `${
      Object.entries(outcomes).map(([how, times]) => `${times} ${how}`).join(", ")
    }; one DEL and nothing is left`,
  });
});
