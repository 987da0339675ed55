import { assert, assertEquals } from "@std/assert";
import { parseState } from "../../lib/ipam/parse_state.ts";
import { Host, STATE_FOLDER } from "../integration/host.ts";
import { recordFault } from "./fault.ts";
import { test } from "../both_errors.ts";

const FILE = `${STATE_FOLDER}/podnet.json`;

/** A run's operations on the state file, in order. */
type Operation =
  | { readonly what: "create" | "sync"; readonly path: string }
  | { readonly what: "write"; readonly path: string; readonly text: string }
  | { readonly what: "rename"; readonly from: string; readonly to: string }
  | { readonly what: "answer" };

/** The operations on the state folder in the output of strace. */
function readTrace(trace: string): Operation[] {
  const open = new Map<string, string>();
  const operations: Operation[] = [];
  for (const line of trace.split("\n")) {
    const opened = /^openat\(AT_FDCWD, "([^"]*)", ([^)]*?)(?:, 0\d+)?\) = (\d+)/.exec(line);
    if (opened !== null) {
      const [, path = "", flags = "", fd = ""] = opened;
      open.set(fd, path);
      if (flags.includes("O_CREAT") && path.endsWith(".tmp")) {
        operations.push({ what: "create", path });
      }
      continue;
    }
    const [, call = "", fd = ""] = /^(\w+)\((\d+)/.exec(line) ?? [];
    const path = open.get(fd) ?? "";
    if (call === "close") open.delete(fd);
    else if (call === "write" && path.endsWith(".tmp")) {
      const text: string = JSON.parse(/"(?:[^"\\]|\\.)*"/.exec(line)?.[0] ?? '""');
      operations.push({ what: "write", path, text });
    } else if ((call === "fdatasync" || call === "fsync") && path.startsWith(STATE_FOLDER)) {
      operations.push({ what: "sync", path });
    } else if (call === "write" && fd === "1") operations.push({ what: "answer" });
    const renamed = /^rename\("([^"]*)", "([^"]*)"\) = 0/.exec(line);
    if (renamed !== null) {
      operations.push({ what: "rename", from: renamed[1] ?? "", to: renamed[2] ?? "" });
    }
  }
  return operations;
}

/**
 * The possible contents of the state file after a power loss that follows the first `done` operations. A journaling file
 * system keeps the order of names. It may keep a name without the file's data if the data was not synced: then the file is
 * empty, cut, or full of NULs. A rename may be lost until its folder is synced.
 */
function afterPowerLoss(operations: readonly Operation[], done: number, old: string): Set<string> {
  const data = new Map<string, { text: string; isSynced: boolean }>();
  let renamed: string | undefined;
  let isFolderSynced = false;
  for (const operation of operations.slice(0, done)) {
    if (operation.what === "create") data.set(operation.path, { text: "", isSynced: false });
    else if (operation.what === "write") {
      const before = data.get(operation.path)?.text ?? "";
      data.set(operation.path, { text: before + operation.text, isSynced: false });
    } else if (operation.what === "sync") {
      const file = data.get(operation.path);
      if (file !== undefined) file.isSynced = true;
      else if (renamed !== undefined) isFolderSynced = true;
    } else if (operation.what === "rename" && operation.to === FILE) renamed = operation.from;
  }
  const contents = new Set<string>(isFolderSynced ? [] : [old]);
  const file = renamed === undefined ? undefined : data.get(renamed);
  if (file === undefined) return contents;
  contents.add(file.text);
  if (!file.isSynced) {
    for (const text of ["", file.text.slice(0, 50), "\0".repeat(file.text.length)]) {
      contents.add(text);
    }
  }
  return contents;
}

function isState(text: string): boolean {
  try {
    parseState(new TextEncoder().encode(text), FILE);
    return true;
  } catch {
    return false;
  }
}

test("power loss: the state is the old or the new, at each point of the recorded writes", async () => {
  await using host = await Host.create();
  await host.containers("c1", "c2");
  await host.add({ id: "c1" });
  let points = 0;
  let states = 0;
  for (const command of ["ADD", "DEL"]) {
    const old = await host.sh(`cat ${FILE}`);
    const calls = "openat,close,write,fdatasync,fsync,rename";
    const under = ["strace", "-s", "100000", "-o", "/run/trace", "-e", `trace=${calls}`];
    assertEquals((await host.cni(command, { id: "c2", under })).code, 0);
    const now = await host.sh(`cat ${FILE}`);
    const operations = readTrace(await host.sh("cat /run/trace"));
    const made = operations.map(({ what }) => what);
    const kinds = made.filter((what, index) => what !== "write" || what !== made[index - 1]);
    assertEquals(kinds.slice(0, 5), ["create", "write", "sync", "rename", "sync"]);
    for (let done = 0; done <= operations.length; done++) {
      const contents = afterPowerLoss(operations, done, old);
      for (const text of contents) {
        assert([old, now].includes(text), `after ${made.slice(0, done)}: ${JSON.stringify(text)}`);
        assert(isState(text));
      }
      // If the address was reported to the runtime, the state must still have it.
      if (command === "ADD" && made[done - 1] === "answer") assertEquals([...contents], [now]);
      points++;
      states += contents.size;
    }
    // The same writes without the first sync must fail the check.
    const careless = operations.toSpliced(made.indexOf("sync"), 1);
    const broken = careless.map((_, done) => [...afterPowerLoss(careless, done, old)])
      .flat().filter((text) => !isState(text));
    assert(broken.includes(""), "a rename without fsync must be found out");
  }
  recordFault({
    fault: "power loss, replayed from the recorded writes of an ADD and a DEL",
    tries: `${points} points, ${states} states of the file`,
    outcome: "always the old or the new; once an ADD has answered, the new",
  });
});
