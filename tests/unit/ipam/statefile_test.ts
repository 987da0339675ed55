import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { join } from "@std/path/posix";
import { CniError } from "../../../lib/base/errors.ts";
import { pause } from "../../../lib/base/deadline.ts";
import { parseNetworkName } from "../../../lib/base/names.ts";
import { statePath, temporaries } from "../../../lib/ipam/folder.ts";
import { parseState } from "../../../lib/ipam/parse_state.ts";
import { emptyState, type State } from "../../../lib/ipam/state.ts";
import {
  checkWritable,
  identityOf,
  isCurrent,
  readState,
  writeState,
} from "../../../lib/ipam/statefile.ts";
import { inFolder, namesOf } from "../folder.ts";

const NET = parseNetworkName("podnet");
const GOOD = {
  schema: 3,
  containerToIP: { "c1/eth0": "10.86.0.2" },
  ipToContainer: { "10.86.0.2": "c1/eth0" },
  lastReserved: "10.86.0.2",
  leases: { "c1/eth0": { since: "2026-01-01T00:00:00Z", hostMac: "fe:00:00:00:00:01" } },
};

function state(): State {
  return parseState(new TextEncoder().encode(JSON.stringify(GOOD)), "/s");
}

/** Writes the state and returns the result of `writeState`. */
function put(folder: string, next: State, backUp = false, verify = () => {}) {
  return writeState(folder, NET, { state: next, backUp, verify });
}

Deno.test("writeState() replaces the whole file, makes it private, and leaves no temporary file", async () => {
  await inFolder((folder) => {
    const path = statePath(folder, NET);
    put(folder, emptyState());
    const before = Deno.statSync(path);
    put(folder, state());
    const after = Deno.statSync(path);
    assertNotEquals(after.ino, before.ino);
    assertEquals((after.mode ?? 0) & 0o777, 0o600);
    assertEquals(JSON.parse(Deno.readTextFileSync(path)), GOOD);
    assertEquals(namesOf(folder), ["podnet.json"]);
  });
});

Deno.test("a failing writeState() is code 5 and leaves the folder unchanged", async () => {
  await inFolder((folder) => {
    Deno.mkdirSync(statePath(folder, NET));
    const fails = (at: string) =>
      assertThrows(() => put(at, emptyState()), CniError, "Cannot write").code;
    assertEquals(fails(folder), 5);
    assertEquals(namesOf(folder), ["podnet.json"]);
    assertEquals(fails(join(folder, "gone")), 5);
  });
});

Deno.test("readState() reads a written state; a missing file is empty, and anything but a file is damage", async () => {
  await inFolder((folder) => {
    assertEquals(readState(folder, NET), {
      state: emptyState(),
      file: undefined,
      identity: "none",
    });
    put(folder, state());
    const snapshot = readState(folder, NET);
    snapshot.file?.close();
    assertEquals(snapshot.state, state());
  });
  const rows: [(path: string) => void, string][] = [
    [(path) => Deno.mkdirSync(path), "not a regular file"],
    [(path) => Deno.symlinkSync("/etc/hostname", path), "not a regular file"],
    [(path) => Deno.symlinkSync("nowhere", path), "not a regular file"],
    [(path) => Deno.writeTextFileSync(path, ""), "it is empty"],
    [(path) => Deno.writeTextFileSync(path, "{"), "state file"],
    [(path) => {
      Deno.writeTextFileSync(path, "");
      Deno.truncateSync(path, 128 * 1024 * 1024 + 1);
    }, "it has 134217729 bytes"],
  ];
  for (const [make, found] of rows) {
    await inFolder((folder) => {
      make(statePath(folder, NET));
      const error = assertThrows(() => readState(folder, NET), CniError, found);
      assertEquals(error.code, 104, found);
    });
  }
});

Deno.test("a state file that may not be opened is code 5, and not damaged", async () => {
  await inFolder((folder) => {
    put(folder, state());
    const open = Deno.openSync;
    Deno.openSync = () => {
      throw new Deno.errors.PermissionDenied("denied by a rule");
    };
    try {
      const error = assertThrows(() => readState(folder, NET), CniError, "denied by a rule");
      assertEquals(error.code, 5);
    } finally {
      Deno.openSync = open;
    }
  });
});

Deno.test("isCurrent() knows whether the path still leads to the file that was read", async () => {
  await inFolder((folder) => {
    const path = statePath(folder, NET);
    const before = readState(folder, NET);
    assertEquals(isCurrent(before, folder, NET), true);
    put(folder, state());
    assertEquals(isCurrent(before, folder, NET), false, "one that came");
    const read = readState(folder, NET);
    assertEquals(isCurrent(read, folder, NET), true);
    put(folder, state());
    assertEquals(isCurrent(read, folder, NET), false, "another of the same content");
    read.file?.close();
    const again = readState(folder, NET);
    Deno.writeTextFileSync(path, " ", { append: true });
    assertEquals(isCurrent(again, folder, NET), false, "written into since");
    Deno.removeSync(path);
    assertEquals(isCurrent(again, folder, NET), false, "one that went");
    again.file?.close();
  });
});

Deno.test("identityOf() distinguishes a written file from an edited, restored or replaced one", async () => {
  await inFolder(async (folder) => {
    const path = statePath(folder, NET);
    const identity = () => identityOf(Deno.lstatSync(path));
    assertEquals(identityOf(undefined), "none");
    const { identity: written } = put(folder, state());
    assertEquals(identity(), written);
    const text = Deno.readTextFileSync(path);
    const info = Deno.lstatSync(path);
    assert(info.mtime !== null);
    // Deno reports a ctime in whole seconds.
    await pause(1_100);
    const changes: [string, () => void][] = [
      ["edited, of another size", () => {
        Deno.writeTextFileSync(path, `${text} `);
        Deno.utimeSync(path, info.mtime ?? 0, info.mtime ?? 0);
      }],
      ["edited, of the same size", () => {
        Deno.writeTextFileSync(path, text);
        Deno.utimeSync(path, 1, 1);
      }],
      ["restored into the same inode, with its time", () => {
        Deno.writeTextFileSync(path, text);
        Deno.utimeSync(path, info.mtime ?? 0, info.mtime ?? 0);
        assertEquals(Deno.lstatSync(path).ino, info.ino);
      }],
      ["a copy with the same time", () => {
        Deno.renameSync(path, `${path}.old`);
        Deno.writeTextFileSync(path, text);
        Deno.utimeSync(path, info.mtime ?? 0, info.mtime ?? 0);
      }],
      ["moved away and back", () => {
        Deno.removeSync(path);
        Deno.renameSync(`${path}.old`, path);
      }],
    ];
    for (const [name, change] of changes) {
      change();
      assertNotEquals(identity(), written, name);
    }
  });
});

Deno.test("checkWritable() leaves no file, and is code 5 if a write would fail", async () => {
  await inFolder((folder) => {
    checkWritable(folder, NET, true);
    checkWritable(folder, NET, false);
    checkWritable(join(folder, "gone"), NET, true);
    assertEquals(namesOf(folder), []);
    Deno.writeTextFileSync(join(folder, "file"), "");
    const fails = () => checkWritable(join(folder, "file", "below"), NET, true);
    assertEquals(assertThrows(fails, CniError).code, 5);
  });
});

Deno.test("temporaries() lists only the temporary files of this network", async () => {
  await inFolder((folder) => {
    const kept = [
      ".pod.0123456789abcdef.tmp",
      ".podnet.a.0123456789abcdef.tmp",
      ".podnet.0123.tmp",
      ".podnet.av0123456789abc.add",
      ".podnetx0123456789abcdef.tmp",
      "podnet.json",
    ];
    const swept = [".podnet.0123456789abcdef.tmp", ".podnet.fedcba9876543210.tmp"];
    for (const name of [...kept, ...swept]) Deno.writeTextFileSync(join(folder, name), "x");
    assertEquals(temporaries(folder, NET).sort(), swept.map((name) => join(folder, name)));
  });
});

Deno.test("writeState() makes one backup of a damaged file, and only if the replacement succeeds", async () => {
  await inFolder((folder) => {
    const path = statePath(folder, NET);
    assertEquals(put(folder, state(), true).backup, undefined, "there was none");
    Deno.writeTextFileSync(path, "damaged");
    const gone = () => {
      throw new CniError("TryAgainLater", "the lock is gone", "a remedy");
    };
    assertThrows(() => put(folder, state(), true, gone), CniError, "the lock is gone");
    assertEquals([namesOf(folder), Deno.readTextFileSync(path)], [["podnet.json"], "damaged"]);
    const backup = put(folder, state(), true).backup ?? "";
    assert(backup.startsWith(`${path}.damaged-2`), backup);
    assertEquals(Deno.readTextFileSync(backup), "damaged");
    assertEquals(readState(folder, NET).state, state());
    // Some of these writes are in the same millisecond.
    const more = Array.from({ length: 50 }, () => put(folder, state(), true).backup ?? "");
    assertEquals(new Set([backup, ...more]).size, 51);
    // A rename can't replace a folder, so the folder is moved away.
    Deno.removeSync(path);
    Deno.mkdirSync(path);
    assertEquals(Deno.statSync(put(folder, state(), true).backup ?? "").isDirectory, true);
  });
});

Deno.test("a file that is written during the read is not current", async () => {
  await inFolder((folder) => {
    const path = statePath(folder, NET);
    put(folder, state());
    const { readSync } = Deno.FsFile.prototype;
    Deno.FsFile.prototype.readSync = function (bytes: Uint8Array<ArrayBuffer>) {
      const read = readSync.call(this, bytes);
      Deno.writeTextFileSync(path, " ", { append: true });
      return read;
    };
    try {
      const seen = readState(folder, NET);
      seen.file?.close();
      assertEquals(seen.state, state());
      assertEquals(isCurrent(seen, folder, NET), false);
    } finally {
      Deno.FsFile.prototype.readSync = readSync;
    }
    const again = readState(folder, NET);
    again.file?.close();
    assertEquals(isCurrent(again, folder, NET), true);
  });
});
