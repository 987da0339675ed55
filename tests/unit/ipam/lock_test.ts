import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path/posix";
import { CniError } from "../../../lib/base/errors.ts";
import { acquire, hasLockFile, holderOfLock } from "../../../lib/ipam/lock.ts";
import { inFolder } from "../folder.ts";
import { until } from "../../until.ts";

const NEVER = new AbortController().signal;

/** Runs `body` with the path of a lock file that does not exist yet. */
function withPath(body: (path: string) => Promise<void> | void): Promise<void> {
  return inFolder((folder) => body(join(folder, "podnet.lock")));
}

Deno.test("acquire() makes the file private and records its process", async () => {
  await withPath(async (path) => {
    const lock = await acquire(path, NEVER);
    assertEquals((Deno.statSync(path).mode ?? 0) & 0o777, 0o600);
    assertMatch(Deno.readTextFileSync(path), new RegExp(`^process ${Deno.pid} since \\d{4}-`));
    lock.release("");
    assertEquals(Deno.readTextFileSync(path).trim(), "");
    (await acquire(path, NEVER)).release("");
  });
});

Deno.test("the next holder reads the record of the last holder, even of a killed one", async () => {
  await withPath(async (path) => {
    const first = await acquire(path, NEVER);
    assertEquals(first.identity, "");
    first.release("12 34 56");
    const second = await acquire(path, NEVER);
    assertEquals(second.identity, "12 34 56");
    // The record of a killed holder: its process above the identity from the holder before.
    const left = Deno.readTextFileSync(path);
    second.release("shorter");
    assertEquals(Deno.readTextFileSync(path), "\nshorter\n");
    Deno.writeTextFileSync(path, left);
    const third = await acquire(path, NEVER);
    assertEquals(third.identity, "12 34 56");
    third.release("12 34 56");
  });
  for (const strange of ["\0".repeat(400), "x".repeat(1000), "a\n", "a\nb\nc\n"]) {
    await withPath(async (path) => {
      Deno.writeTextFileSync(path, strange);
      const lock = await acquire(path, NEVER);
      assertEquals(lock.identity, strange.startsWith("a\nb") ? "b" : "");
      lock.release("1 2 3");
      assertEquals(Deno.readTextFileSync(path), "\n1 2 3\n");
    });
  }
});

Deno.test("holderOfLock() describes the holder by its record", async () => {
  await withPath(async (path) => {
    assertEquals(holderOfLock(path), undefined);
    const held = await acquire(path, NEVER);
    assertMatch(holderOfLock(path) ?? "", new RegExp(`holder is process ${Deno.pid} since `));
    held.release("1 2 3");
    // A process that another test starts now inherits the file until its exec.
    await until("no process holds the lock", () => holderOfLock(path) === undefined);
    // The record of an unknown holder is shown as text, not as a process.
    for (const strange of ["\u001b[31mboo", "process 7 since ever", "process 1 since 2026 or so"]) {
      Deno.writeTextFileSync(path, strange);
      using file = Deno.openSync(path, { read: true });
      file.lockSync(true);
      const said = holderOfLock(path) ?? "";
      assert(said.startsWith("by an unknown process"), said);
      assert(said.includes(JSON.stringify(strange)), said);
      file.unlockSync();
    }
  });
});

Deno.test("acquire() ends when its signal aborts", async () => {
  await withPath(async (path) => {
    const held = await acquire(path, NEVER);
    const stop = new AbortController();
    const waiting = acquire(path, stop.signal);
    stop.abort(new CniError("TryAgainLater", "Cannot finish: ended by SIGTERM", "a remedy"));
    await assertRejects(() => waiting, CniError, "ended by SIGTERM");
    await assertRejects(() => acquire(path, stop.signal), CniError, "ended by SIGTERM");
    held.release("");
    (await acquire(path, NEVER)).release("");
  });
});

Deno.test("acquire() locks the file that has the name when the wait ends", async () => {
  await withPath(async (path) => {
    const held = await acquire(path, NEVER);
    const waiting = acquire(path, NEVER);
    Deno.removeSync(path);
    const newer = await acquire(path, NEVER);
    held.release("");
    newer.release("");
    const lock = await waiting;
    assertMatch(Deno.readTextFileSync(path), /^process /);
    lock.release("");
  });
});

Deno.test("acquire() opens only a regular file, else code 5", async () => {
  const rows: [string, (path: string) => void, string][] = [
    ["a symlink", (path) => Deno.symlinkSync(`${path}.other`, path), "a symbolic link"],
    ["a folder", (path) => Deno.mkdirSync(path), "not a regular file"],
  ];
  for (const [name, make, found] of rows) {
    await withPath(async (path) => {
      make(path);
      const error = await assertRejects(() => acquire(path, NEVER), CniError, found);
      assertEquals(error.code, 5, name);
      for (const look of [hasLockFile, holderOfLock]) {
        assertEquals(assertThrows(() => look(path), CniError, found).code, 5, name);
      }
    });
  }
  await withPath(async (path) => {
    const error = await assertRejects(() => acquire(`${path}/x`, NEVER), CniError, "Cannot open");
    assertEquals(error.code, 5);
  });
});
