import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path/posix";
import { CniError } from "../../../lib/base/errors.ts";
import { parseIp } from "../../../lib/base/address.ts";
import { tryOwner } from "../../../lib/base/attachment.ts";
import { pause } from "../../../lib/base/deadline.ts";
import { parseNetworkName } from "../../../lib/base/names.ts";
import { lockPath, statePath } from "../../../lib/ipam/folder.ts";
import { addLease, emptyState, type State } from "../../../lib/ipam/state.ts";
import { type Decision, StoredLeases } from "../../../lib/ipam/store.ts";
import { inFolder, namesOf } from "../folder.ts";

const NET = parseNetworkName("podnet");

function open(folder: string): StoredLeases {
  return new StoredLeases(folder, NET, new AbortController().signal);
}

/** Adds a lease of that address. */
function put(state: State, ip: string): State {
  const owner = tryOwner(`c${ip}/eth0`);
  if (owner === undefined) throw new Error("no owner");
  addLease(state, { owner, ips: [parseIp(ip)], record: undefined });
  return state;
}

/** Runs one transaction and returns provenance and addresses. */
async function update(
  folder: string,
  ip?: string,
  write: Decision<void>["write"] = "verified",
): Promise<[string, string[]]> {
  const { result } = await open(folder).transaction(
    (state, provenance): Decision<[string, string[]]> => {
      const result: [string, string[]] = [String(provenance), Object.keys(state.ipToContainer)];
      if (ip === undefined) return { result };
      put(state, ip);
      return { result, write };
    },
  );
  return result;
}

Deno.test("a transaction distinguishes a state that this program wrote last from any other", async () => {
  await inFolder(async (folder) => {
    const path = statePath(folder, NET);
    assertEquals(await update(folder, "10.0.0.2"), ["missing", []]);
    assertEquals(await update(folder, "10.0.0.3"), ["written", ["10.0.0.2"]]);
    // A state that is only read keeps its provenance `written`.
    assertEquals(await update(folder), ["written", ["10.0.0.2", "10.0.0.3"]]);
    assertEquals(open(folder).read().provenance, "written");
    Deno.copyFileSync(path, `${path}.old`);
    await update(folder, "10.0.0.4");
    Deno.copyFileSync(`${path}.old`, path);
    assertEquals(await update(folder), ["changed", ["10.0.0.2", "10.0.0.3"]]);
    // A state that is written without a check against the kernel keeps its provenance `changed`.
    assertEquals((await update(folder, "10.0.0.5", "unverified"))[0], "changed");
    assertEquals((await update(folder, "10.0.0.6"))[0], "changed");
    assertEquals((await update(folder, "10.0.0.7", "unverified"))[0], "written");
    assertEquals((await update(folder, "10.0.0.8", "doubted"))[0], "written");
    assertEquals((await update(folder, "10.0.0.9"))[0], "changed");
    assertEquals((await update(folder))[0], "written");
    Deno.renameSync(`${path}.old`, path);
    assertEquals((await update(folder))[0], "changed");
    Deno.removeSync(path);
    assertEquals(await update(folder), ["missing", []]);
    await update(folder, "10.0.0.2");
    // Without the lock's record, the provenance of the file is unknown.
    Deno.removeSync(lockPath(folder, NET));
    assertEquals((await update(folder))[0], "changed");
  });
});

Deno.test("a folder that was restored with lock and times has the provenance changed", async () => {
  await inFolder(async (folder) => {
    const [at, backup] = [join(folder, "state"), join(folder, "backup")];
    await update(at, "10.0.0.2");
    const copy = async (from: string, to: string) => {
      const { success } = await new Deno.Command("cp", { args: ["-a", `${from}/.`, `${to}/`] })
        .output();
      assertEquals(success, true);
    };
    await copy(at, backup);
    for (const ip of ["10.0.0.3", "10.0.0.4"]) await update(at, ip);
    await pause(1_100); // Deno reports a ctime in whole seconds
    await copy(backup, at);
    assertEquals(await update(at), ["changed", ["10.0.0.2"]]);
  });
});

Deno.test("a folder that is moved away and back during a transaction: nothing is allocated, and the state is doubted", async () => {
  await inFolder(async (parent) => {
    const folder = join(parent, "a-folder-as-deep-as-the-state-folder");
    await update(folder, "10.0.0.2");
    const during = async (write: "verified" | "unverified", ip: string) => {
      await pause(1_100); // Deno reports a ctime in whole seconds
      await open(folder).transaction((state): Decision<void> => {
        Deno.renameSync(folder, `${folder}.away`);
        Deno.renameSync(`${folder}.away`, folder);
        put(state, ip);
        return { result: undefined, write };
      });
    };
    const allocate = () => during("verified", "10.0.0.3");
    assertEquals((await assertRejects(allocate, CniError, "moved away and back")).code, 11);
    assertEquals(await update(folder, "10.0.0.4"), ["changed", ["10.0.0.2"]]);
    await during("unverified", "10.0.0.5");
    assertEquals((await update(folder))[0], "changed");
  });
});

Deno.test("on a file system whose folders always look moved, the state is checked each time", async () => {
  await inFolder(async (parent) => {
    const folder = join(parent, "a-folder-as-deep-as-the-state-folder");
    await update(folder, "10.0.0.2");
    const { lstatSync } = Deno;
    Deno.lstatSync = (path) => {
      const found = lstatSync(path);
      return found.isDirectory ? { ...found, mtime: new Date(0) } : found;
    };
    try {
      for (const ip of ["10.0.0.3", "10.0.0.4"]) {
        assertEquals((await update(folder, ip))[0], "changed");
      }
    } finally {
      Deno.lstatSync = lstatSync;
    }
  });
});

Deno.test("a lease is added to the right map in any layout of the file", async () => {
  await inFolder(async (folder) => {
    const more = [', "x":{"y":"z"}', ', "leases":{}', ""];
    for (const [index, text] of more.entries()) {
      const file = `{"schema":3,\n"containerToIP":{}${text},\n"ipToContainer":{}${text},
"lastReserved":"",\n"leases":{}${text},\n"ranges":[]}\n`;
      Deno.writeTextFileSync(statePath(folder, NET), file);
      await update(folder, `10.0.0.${index + 2}`);
      assertEquals(await update(folder), ["written", [`10.0.0.${index + 2}`]], file);
    }
  });
});

Deno.test("a transaction that throws, or decides not to write, writes nothing and unlocks", async () => {
  await inFolder(async (folder) => {
    await update(folder, "10.0.0.2");
    const text = Deno.readTextFileSync(statePath(folder, NET));
    const leases = open(folder);
    const fails = () =>
      leases.transaction((state) => {
        put(state, "10.0.0.3");
        throw new CniError("PoolExhausted", "none is left", "a remedy");
      });
    await assertRejects(fails, CniError, "none is left");
    assertEquals(Object.keys(leases.read().state.ipToContainer), ["10.0.0.2"]);
    await leases.transaction((state) => ({ result: put(state, "10.0.0.3") }));
    assertEquals(Deno.readTextFileSync(statePath(folder, NET)), text);
    assertEquals(await update(folder), ["written", ["10.0.0.2"]]);
  });
});

Deno.test("a transaction uses the present file, whatever was read before the lock", async () => {
  await inFolder(async (folder) => {
    const path = statePath(folder, NET);
    await update(folder, "10.0.0.2");
    const edit = () =>
      Deno.writeTextFileSync(path, Deno.readTextFileSync(path).replaceAll("10.0.0.3", "10.0.0.44"));
    const changes: [() => Promise<unknown> | void, string[]][] = [
      [() => update(folder, "10.0.0.3"), ["10.0.0.2", "10.0.0.3"]],
      // Overwritten in place, by an editor or cp.
      [edit, ["10.0.0.2", "10.0.0.44"]],
      [() => Deno.removeSync(path), []],
    ];
    for (const [change, expected] of changes) {
      const leases = open(folder);
      leases.read();
      await change();
      const seen = (state: State) => ({ result: Object.keys(state.ipToContainer) });
      assertEquals((await leases.transaction(seen)).result, expected);
    }
  });
});

Deno.test("a run that loses its lock file or state file writes nothing: code 11", async () => {
  await inFolder(async (folder) => {
    await update(folder, "10.0.0.2");
    const rows: [string, () => unknown][] = [
      ["the lock", () => Deno.removeSync(lockPath(folder, NET))],
      ["the lock", () => Deno.renameSync(lockPath(folder, NET), join(folder, "moved"))],
      ["its file was replaced", () => Deno.writeTextFileSync(statePath(folder, NET), "x")],
    ];
    for (const [message, harm] of rows) {
      const text = Deno.readTextFileSync(statePath(folder, NET));
      const error = await assertRejects(
        () =>
          open(folder).transaction((state) => {
            harm();
            return { result: put(state, "10.0.0.3"), write: "verified" };
          }),
        CniError,
        message,
      );
      const now = Deno.readTextFileSync(statePath(folder, NET));
      assertEquals([error.code, now], [11, now === "x" ? "x" : text]);
      assertEquals(namesOf(folder).filter((it) => it.endsWith(".tmp")), []);
    }
  });
});

Deno.test("the next transaction or a sweep removes the temporary files of a killed run", async () => {
  await inFolder(async (folder) => {
    const left = join(folder, ".podnet.0123456789abcdef.tmp");
    await open(folder).sweep();
    assertEquals(namesOf(folder), []);
    Deno.writeTextFileSync(left, "x");
    await open(folder).sweep();
    assertEquals(namesOf(folder), ["podnet.lock"]);
    Deno.writeTextFileSync(left, "x");
    await update(folder);
    assertEquals(namesOf(folder), ["podnet.lock"]);
  });
});

Deno.test("a damaged file is an empty state with the damage as provenance; a newer file is refused", async () => {
  await inFolder(async (folder) => {
    const path = statePath(folder, NET);
    Deno.writeTextFileSync(path, "damaged");
    assertThrows(() => open(folder).read(), CniError, "as a state file");
    assertMatch((await update(folder))[0], /as a state file/);
    assertEquals([Deno.readTextFileSync(path), namesOf(folder).length], ["damaged", 2]);
    const { backup = "" } = await open(folder).transaction((state) => ({
      result: undefined,
      write: "verified",
      state: put(structuredClone(state), "10.0.0.2"),
    }));
    assertMatch(backup, /podnet\.json\.damaged-\d{8}T/);
    assertEquals(Deno.readTextFileSync(backup), "damaged");
    assertEquals(await update(folder), ["written", ["10.0.0.2"]]);
    Deno.writeTextFileSync(path, '{"schema":4}');
    const newer = assertThrows(() => open(folder).read(), CniError, "schema 4");
    assertEquals(newer.code, 104);
    await assertRejects(() => update(folder, "10.0.0.3"), CniError, "schema 4");
    assertEquals(Deno.readTextFileSync(path), '{"schema":4}');
  });
});

Deno.test("a reader changes neither folder nor lock nor the files of a killed run", async () => {
  await inFolder(async (folder) => {
    const at = join(folder, "state");
    assertEquals(await open(at).examine(({ state }) => state), emptyState());
    assertEquals(namesOf(folder), []);
    await update(at, "10.0.0.2");
    const list = () =>
      namesOf(at).map((name) => {
        const { mtime, size } = Deno.lstatSync(join(at, name));
        return [name, mtime?.getTime(), size];
      });
    Deno.writeTextFileSync(join(at, ".podnet.0123456789abcdef.tmp"), "x");
    const before = list();
    assertEquals(await open(at).examine(({ provenance }) => provenance), "written");
    assertEquals(list(), before);
  });
});

Deno.test("a lock with a second name is replaced, and the file of the second name is unchanged", async () => {
  await inFolder(async (folder) => {
    await update(folder, "10.0.0.2");
    const [lock, other] = [lockPath(folder, NET), join(folder, "other")];
    Deno.linkSync(lock, other);
    const text = Deno.readTextFileSync(other);
    // The record is lost with the lock, so the kernel is read once.
    assertEquals(await update(folder, "10.0.0.3"), ["changed", ["10.0.0.2"]]);
    assertEquals((await update(folder))[0], "written");
    assertEquals([Deno.readTextFileSync(other), Deno.lstatSync(lock).nlink], [text, 1]);
  });
});
