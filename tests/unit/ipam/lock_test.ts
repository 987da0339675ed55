import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "@std/path/posix";
import { CniError } from "../lib/errors.ts";
import { acquire } from "../lib/lock.ts";

const NEVER = new AbortController().signal;

/** Runs `body` with the path of a lock that nothing has made yet. */
async function withPath(body: (path: string) => Promise<void>): Promise<void> {
  const folder = Deno.makeTempDirSync();
  try {
    await body(join(folder, "podnet.lock"));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("acquire() makes the file private and notes who holds it", async () => {
  await withPath(async (path) => {
    const lock = await acquire(path, NEVER);
    assertEquals((Deno.statSync(path).mode ?? 0) & 0o777, 0o600);
    assertMatch(Deno.readTextFileSync(path), new RegExp(`^process ${Deno.pid} since \\d{4}-`));
    lock.release();
    assertEquals(Deno.readTextFileSync(path), "");
    (await acquire(path, NEVER)).release();
  });
});

Deno.test("acquire() waits no longer than its limit and names the holder, code 11", async () => {
  await withPath(async (path) => {
    const held = await acquire(path, NEVER);
    const error = await assertRejects(
      () => acquire(path, NEVER, 50),
      CniError,
      "Cannot take the lock",
    );
    assertEquals(error.code, 11);
    assertMatch(error.message, new RegExp(`held by process ${Deno.pid} since `));
    held.release();
    // The wait that came too late lets go again.
    (await acquire(path, NEVER)).release();
  });
});

Deno.test("acquire() doesn't take for a note what a holder of no kind of ours wrote", async () => {
  await withPath(async (path) => {
    Deno.writeTextFileSync(path, "\u001b[31mboo");
    using file = Deno.openSync(path, { read: true });
    file.lockSync(true);
    const error = await assertRejects(() => acquire(path, NEVER, 50), CniError, "left no note");
    assert(error.message.includes('\\u001b[31mboo"'), error.message);
    file.unlockSync();
    (await acquire(path, NEVER)).release();
  });
});

Deno.test("acquire() ends when it is told to stop", async () => {
  await withPath(async (path) => {
    const held = await acquire(path, NEVER);
    const stop = new AbortController();
    const waiting = acquire(path, stop.signal);
    stop.abort(new CniError(11, "Cannot finish: ended by SIGTERM"));
    await assertRejects(() => waiting, CniError, "ended by SIGTERM");
    await assertRejects(() => acquire(path, stop.signal), CniError, "ended by SIGTERM");
    held.release();
    (await acquire(path, NEVER)).release();
  });
});

Deno.test("acquire() locks the file that is there by name when its turn comes", async () => {
  await withPath(async (path) => {
    const held = await acquire(path, NEVER);
    const waiting = acquire(path, NEVER);
    Deno.removeSync(path);
    const newer = await acquire(path, NEVER);
    held.release();
    newer.release();
    const lock = await waiting;
    assertMatch(Deno.readTextFileSync(path), /^process /);
    lock.release();
  });
});

Deno.test("acquire() opens nothing that is no plain file of one name, code 5", async () => {
  const rows: [string, (path: string) => void, string][] = [
    ["a symlink", (path) => Deno.symlinkSync(`${path}.other`, path), "a symbolic link"],
    ["a hard link", (path) => {
      Deno.writeTextFileSync(`${path}.other`, "theirs");
      Deno.linkSync(`${path}.other`, path);
    }, "a hard link"],
    ["a folder", (path) => Deno.mkdirSync(path), "no regular file"],
  ];
  for (const [name, make, found] of rows) {
    await withPath(async (path) => {
      make(path);
      const error = await assertRejects(() => acquire(path, NEVER, 50), CniError, found);
      assertEquals(error.code, 5, name);
    });
  }
  await withPath(async (path) => {
    const error = await assertRejects(() => acquire(`${path}/x`, NEVER), CniError, "Cannot open");
    assertEquals(error.code, 5);
  });
});
