import { assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path/posix";
import { CniError } from "../../../lib/base/errors.ts";
import { parseNetworkName } from "../../../lib/base/names.ts";
import { AddMarks } from "../../../lib/ipam/mark.ts";
import { inFolder, namesOf } from "../folder.ts";

const HOST = "av0123456789abc";
const OTHER = "avfedcba9876543";
const FILE = `.podnet.${HOST}.add`;

/** The marks of a network in a folder of their own. */
function marked(body: (marks: AddMarks, folder: string) => void): Promise<void> {
  return inFolder((folder) => body(new AddMarks(folder, parseNetworkName("podnet")), folder));
}

/** Leaves the mark of a killed ADD of `host`: the file without a flock. */
function kill(folder: string, host: string): void {
  Deno.writeTextFileSync(join(folder, `.podnet.${host}.add`), "");
}

Deno.test("a mark is private, and exists as long as the ADD is in progress", async () => {
  await marked((marks, folder) => {
    assertEquals([marks.of(HOST), marks.hosts()], ["none", []]);
    const mark = marks.begin(HOST);
    assertEquals(namesOf(folder), [FILE]);
    assertEquals((Deno.statSync(join(folder, FILE)).mode ?? 0) & 0o777, 0o600);
    assertEquals([marks.of(HOST), marks.of(OTHER), marks.hosts()], ["running", "none", [HOST]]);
    marks.clear(HOST);
    assertEquals(marks.of(HOST), "running");
    mark.lease(true);
    assertEquals(marks.of(HOST), "leased");
    mark.lease(false);
    assertEquals(marks.of(HOST), "running");
    mark.end();
    assertEquals([marks.of(HOST), namesOf(folder)], ["none", []]);
  });
});

Deno.test("a second ADD of the same host veth fails with code 11", async () => {
  await marked((marks) => {
    const mark = marks.begin(HOST);
    const error = assertThrows(() => marks.begin(HOST), CniError, `the host veth "${HOST}"`);
    assertEquals(error.code, 11);
    marks.begin(OTHER).end();
    assertEquals(marks.of(HOST), "running");
    mark.end();
    marks.begin(HOST).end();
  });
});

Deno.test("an unlocked mark means a killed ADD, until it is cleared or the ADD begins again", async () => {
  await marked((marks, folder) => {
    kill(folder, HOST);
    kill(folder, OTHER);
    assertEquals([marks.of(HOST), marks.hosts().sort()], ["died", [HOST, OTHER]]);
    marks.clear(HOST);
    assertEquals([marks.of(HOST), marks.of(OTHER)], ["none", "died"]);
    marks.clear(HOST);
    const again = marks.begin(OTHER);
    assertEquals(marks.of(OTHER), "running");
    again.lease(true);
    // An abandoned ip may still be in progress, so a DEL has to wait for it.
    again.keep();
    again.end();
    assertEquals(marks.of(OTHER), "died");
    // The earlier ADD had a lease, and this one has none yet.
    const last = marks.begin(OTHER);
    assertEquals(marks.of(OTHER), "running");
    last.end();
  });
});

Deno.test("sweep() removes only marks of ADDs that were killed long ago", async () => {
  await marked((marks, folder) => {
    const running = marks.begin(HOST);
    kill(folder, OTHER);
    const age = (host: string, seconds: number) => {
      const then = new Date(Date.now() - seconds * 1000);
      Deno.utimeSync(join(folder, `.podnet.${host}.add`), then, then);
    };
    // The `ip` of such an ADD may still make its veth.
    age(OTHER, 50);
    marks.sweep();
    assertEquals([marks.of(HOST), marks.of(OTHER)], ["running", "died"]);
    age(OTHER, 70);
    age(HOST, 70);
    marks.sweep();
    assertEquals([marks.of(HOST), marks.of(OTHER)], ["running", "none"]);
    running.end();
  });
});

Deno.test("a sweep removes any number of old marks, or at most the given number", async () => {
  await marked((marks, folder) => {
    const hosts = Array.from({ length: 20 }, (_, index) => `av${String(index).padStart(13, "0")}`);
    const then = new Date(Date.now() - 70_000);
    for (const host of hosts) {
      kill(folder, host);
      Deno.utimeSync(join(folder, `.podnet.${host}.add`), then, then);
    }
    marks.sweep(8);
    assertEquals(marks.hosts().length, 12);
    marks.sweep();
    assertEquals(marks.hosts(), []);
  });
});

Deno.test("hosts() returns only the marks of this network", async () => {
  await marked((marks, folder) => {
    for (
      const name of [
        FILE,
        `.podnet.a.${OTHER}.add`,
        `.pod.${OTHER}.add`,
        ".podnet.0123456789abcdef.tmp",
        ".podnet.veth0.add",
        `.podnet.${HOST}.addx`,
        "podnet.json",
      ]
    ) Deno.writeTextFileSync(join(folder, name), "");
    assertEquals(marks.hosts(), [HOST]);
    assertEquals(new AddMarks(join(folder, "gone"), parseNetworkName("podnet")).hosts(), []);
  });
});

Deno.test("a link in place of the mark is not followed", async () => {
  await marked((marks, folder) => {
    const target = join(folder, "target");
    Deno.symlinkSync(target, join(folder, FILE));
    assertEquals(marks.of(HOST), "none");
    const mark = marks.begin(HOST);
    assertEquals(Deno.lstatSync(join(folder, FILE)).isFile, true);
    mark.end();
    assertEquals(namesOf(folder), []);
  });
});

Deno.test("a probe of a mark does not stop an ADD, and does not look like an ADD", async () => {
  await marked((marks, folder) => {
    kill(folder, HOST);
    const reader = Deno.openSync(join(folder, FILE), { read: true });
    assertEquals([reader.tryLockSync(false), marks.of(HOST)], [true, "died"]);
    marks.clear(HOST);
    assertEquals(marks.of(HOST), "died", "a mark is removed only by the run that has its lock");
    reader.close();
    marks.clear(HOST);
    assertEquals(marks.of(HOST), "none");
  });
});

Deno.test("an ADD waits for a probe of its mark", async () => {
  await inFolder(async (folder) => {
    const marks = new AddMarks(folder, parseNetworkName("podnet"));
    kill(folder, HOST);
    const script = `flock -x ${join(folder, FILE)} sh -c 'echo locked; sleep 0.02'`;
    const holder = new Deno.Command("sh", { args: ["-c", script], stdout: "piped" }).spawn();
    const reader = holder.stdout.getReader();
    await reader.read();
    marks.begin(HOST).end();
    await reader.cancel();
    await holder.status;
  });
});

Deno.test("a mark that is removed between its opening and its lock is created again", async () => {
  await marked((marks, folder) => {
    const { tryLockSync } = Deno.FsFile.prototype;
    Deno.FsFile.prototype.tryLockSync = function (exclusive?: boolean) {
      Deno.FsFile.prototype.tryLockSync = tryLockSync;
      Deno.removeSync(join(folder, FILE));
      return tryLockSync.call(this, exclusive);
    };
    try {
      const mark = marks.begin(HOST);
      assertEquals([namesOf(folder), marks.of(HOST)], [[FILE], "running"]);
      mark.end();
      assertEquals(namesOf(folder), []);
    } finally {
      Deno.FsFile.prototype.tryLockSync = tryLockSync;
    }
  });
});

Deno.test("clear() leaves the mark of an ADD that began between its opening and its lock", async () => {
  await marked((marks, folder) => {
    kill(folder, HOST);
    const { tryLockSync } = Deno.FsFile.prototype;
    Deno.FsFile.prototype.tryLockSync = function (exclusive?: boolean) {
      Deno.FsFile.prototype.tryLockSync = tryLockSync;
      Deno.removeSync(join(folder, FILE));
      kill(folder, HOST);
      return tryLockSync.call(this, exclusive);
    };
    try {
      marks.clear(HOST);
      assertEquals(marks.of(HOST), "died");
      marks.clear(HOST);
      assertEquals(marks.of(HOST), "none");
    } finally {
      Deno.FsFile.prototype.tryLockSync = tryLockSync;
    }
  });
});
