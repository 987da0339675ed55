import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { join } from "@std/path/posix";
import { CniError } from "../../../lib/base/errors.ts";
import { parseNetworkName } from "../../../lib/base/names.ts";
import { statePath } from "../../../lib/ipam/folder.ts";
import { parseState } from "../../../lib/ipam/parse_state.ts";
import { emptyState, type State } from "../../../lib/ipam/state.ts";
import {
  checkReadable,
  checkWritable,
  identityOf,
  isCurrent,
  readState,
  setAside,
  sweepTemporaries,
  temporaries,
  writeState,
} from "../../../lib/ipam/statefile.ts";
import { inFolder, namesOf } from "../folder.ts";

const NET = parseNetworkName("podnet");
const GOOD = {
  schema: 3,
  containerToIP: { "c1/eth0": "10.88.0.2" },
  ipToContainer: { "10.88.0.2": "c1/eth0" },
  lastReserved: "10.88.0.2",
  leases: { "c1/eth0": { since: "2026-01-01T00:00:00Z", hostMac: "fe:00:00:00:00:01" } },
};

function state(): State {
  return parseState(new TextEncoder().encode(JSON.stringify(GOOD)), "/s");
}

Deno.test("writeState() replaces the file whole, private, and leaves no temporary", async () => {
  await inFolder((folder) => {
    const path = statePath(folder, NET);
    writeState(folder, NET, emptyState());
    const before = Deno.statSync(path);
    writeState(folder, NET, state());
    const after = Deno.statSync(path);
    assertNotEquals(after.ino, before.ino);
    assertEquals((after.mode ?? 0) & 0o777, 0o600);
    assertEquals(JSON.parse(Deno.readTextFileSync(path)), GOOD);
    assertEquals(namesOf(folder), ["podnet.json"]);
  });
});

Deno.test("writeState() that fails is code 5 and leaves the folder as it was", async () => {
  await inFolder((folder) => {
    Deno.mkdirSync(statePath(folder, NET));
    const fails = (at: string) =>
      assertThrows(() => writeState(at, NET, emptyState()), CniError, "Cannot write").code;
    assertEquals(fails(folder), 5);
    assertEquals(namesOf(folder), ["podnet.json"]);
    assertEquals(fails(join(folder, "gone")), 5);
  });
});

Deno.test("readState() reads what was written; missing is empty, and anything but a file damage", async () => {
  await inFolder((folder) => {
    assertEquals(readState(folder, NET), {
      state: emptyState(),
      file: undefined,
      identity: "none",
    });
    assertEquals(checkReadable(folder, NET), false);
    writeState(folder, NET, state());
    const snapshot = readState(folder, NET);
    snapshot.file?.close();
    assertEquals(snapshot.state, state());
    assertEquals(checkReadable(folder, NET), true);
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

Deno.test("isCurrent() tells whether the file that was read is still the one by name", async () => {
  await inFolder((folder) => {
    const path = statePath(folder, NET);
    const before = readState(folder, NET);
    assertEquals(isCurrent(before, folder, NET), true);
    writeState(folder, NET, state());
    assertEquals(isCurrent(before, folder, NET), false, "one that came");
    const read = readState(folder, NET);
    assertEquals(isCurrent(read, folder, NET), true);
    writeState(folder, NET, state());
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

Deno.test("identityOf() tells a file of ours from one that was edited, restored or put in its place", async () => {
  await inFolder((folder) => {
    const path = statePath(folder, NET);
    const identity = () => identityOf(Deno.lstatSync(path));
    assertEquals(identityOf(undefined), "none");
    writeState(folder, NET, state());
    const text = Deno.readTextFileSync(path);
    const written = identity();
    assertEquals(identity(), written);
    const info = Deno.lstatSync(path);
    assert(info.mtime !== null);
    const changes: [string, () => void][] = [
      ["edited, of another size", () => {
        Deno.writeTextFileSync(path, `${text} `);
        Deno.utimeSync(path, info.mtime ?? 0, info.mtime ?? 0);
      }],
      ["edited, of the same size", () => {
        Deno.writeTextFileSync(path, text);
        Deno.utimeSync(path, 1, 1);
      }],
      ["a copy with the same time", () => {
        Deno.renameSync(path, `${path}.old`);
        Deno.writeTextFileSync(path, text);
        Deno.utimeSync(path, info.mtime ?? 0, info.mtime ?? 0);
      }],
    ];
    for (const [name, change] of changes) {
      change();
      assertNotEquals(identity(), written, name);
    }
    Deno.removeSync(path);
    Deno.renameSync(`${path}.old`, path);
    Deno.writeTextFileSync(path, text);
    Deno.utimeSync(path, info.mtime, info.mtime);
    assertEquals(identity(), written);
  });
});

Deno.test("checkWritable() leaves nothing behind, and is code 5 where a write would fail", async () => {
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

Deno.test("sweepTemporaries() removes this network's and nobody else's", async () => {
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
    sweepTemporaries(temporaries(folder, NET));
    assertEquals(namesOf(folder), kept.sort());
  });
});

Deno.test("setAside() keeps what is damaged beside the file", async () => {
  await inFolder((folder) => {
    const path = statePath(folder, NET);
    assertEquals(setAside(folder, NET), undefined);
    Deno.writeTextFileSync(path, "damaged");
    const aside = setAside(folder, NET) ?? "";
    assert(aside.startsWith(`${path}.damaged-2`), aside);
    assertEquals([aside, path].map((it) => Deno.readTextFileSync(it)), ["damaged", "damaged"]);
    // Some of these in the same millisecond.
    const more = Array.from({ length: 50 }, () => setAside(folder, NET) ?? "");
    assertEquals(new Set([aside, ...more]).size, 51);
    writeState(folder, NET, state());
    assertEquals(Deno.readTextFileSync(aside), "damaged");
    Deno.removeSync(path);
    // What can't be replaced by a rename is moved away.
    Deno.mkdirSync(path);
    const folderAside = setAside(folder, NET) ?? "";
    assertEquals(Deno.statSync(folderAside).isDirectory, true);
    writeState(folder, NET, state());
  });
});
