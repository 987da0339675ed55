import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path/posix";
import { CniError } from "../../../lib/base/errors.ts";
import { parseIp } from "../../../lib/base/address.ts";
import { tryOwner } from "../../../lib/base/attachment.ts";
import { parseNetworkName } from "../../../lib/base/names.ts";
import { lockPath, statePath } from "../../../lib/ipam/folder.ts";
import { addLease, emptyState, type State } from "../../../lib/ipam/state.ts";
import { isUnreadable, openStore, type Origin } from "../../../lib/ipam/store.ts";
import { inFolder, namesOf } from "../folder.ts";

const NET = parseNetworkName("podnet");
const NEVER = new AbortController().signal;

/** Adds a lease of that address. */
function put(state: State, ip: string): true {
  const owner = tryOwner(`c${ip}/eth0`);
  if (owner === undefined) throw new Error("no owner");
  addLease(state, { owner, ips: [parseIp(ip)], record: undefined });
  return true;
}

/** One run's update; returns what it was told of the state. */
async function update(folder: string, ip?: string): Promise<[Origin, string[]]> {
  let seen: [Origin, string[]] | undefined;
  await openStore(folder, NET).update((state, origin) => {
    seen = [origin, Object.keys(state.ipToContainer)];
    return ip !== undefined && put(state, ip);
  }, NEVER);
  if (seen === undefined) throw new Error("an update that did not run");
  return seen;
}

Deno.test("update() tells a state that this program wrote last from any other", async () => {
  await inFolder(async (folder) => {
    const path = statePath(folder, NET);
    assertEquals(await update(folder, "10.0.0.2"), ["missing", []]);
    assertEquals(await update(folder, "10.0.0.3"), ["written", ["10.0.0.2"]]);
    // One that is only looked at stays the one that was written.
    assertEquals(await update(folder), ["written", ["10.0.0.2", "10.0.0.3"]]);
    assertEquals((await update(folder))[0], "written");
    Deno.copyFileSync(path, `${path}.old`);
    await update(folder, "10.0.0.4");
    Deno.copyFileSync(`${path}.old`, path);
    assertEquals(await update(folder), ["changed", ["10.0.0.2", "10.0.0.3"]]);
    assertEquals((await update(folder, "10.0.0.5"))[0], "changed");
    assertEquals((await update(folder))[0], "written");
    Deno.renameSync(`${path}.old`, path);
    assertEquals((await update(folder))[0], "changed");
    Deno.removeSync(path);
    assertEquals(await update(folder), ["missing", []]);
    await update(folder, "10.0.0.2");
    // Without the lock's word nothing is known of the file.
    Deno.removeSync(lockPath(folder, NET));
    assertEquals((await update(folder))[0], "changed");
  });
});

Deno.test("a lease is added to the map that is meant, however somebody laid the file out", async () => {
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

Deno.test("update() that throws or returns false writes nothing, and lets the lock go", async () => {
  await inFolder(async (folder) => {
    await update(folder, "10.0.0.2");
    const text = Deno.readTextFileSync(statePath(folder, NET));
    const store = openStore(folder, NET);
    const fails = () =>
      store.update((state) => {
        put(state, "10.0.0.3");
        throw new CniError("PoolExhausted", "none is left");
      }, NEVER);
    await assertRejects(fails, CniError, "none is left");
    assertEquals(Object.keys(store.read().ipToContainer), ["10.0.0.2"]);
    await store.update((state) => !put(state, "10.0.0.3"), NEVER);
    assertEquals(Deno.readTextFileSync(statePath(folder, NET)), text);
    assertEquals(await update(folder), ["written", ["10.0.0.2"]]);
  });
});

Deno.test("update() works on what stands there now, whatever was read before the lock", async () => {
  await inFolder(async (folder) => {
    const path = statePath(folder, NET);
    await update(folder, "10.0.0.2");
    const changes: [() => Promise<unknown> | void, string[]][] = [
      [() => update(folder, "10.0.0.3"), ["10.0.0.2", "10.0.0.3"]],
      // Written over in place, by an editor or cp.
      [
        () =>
          Deno.writeTextFileSync(
            path,
            Deno.readTextFileSync(path).replaceAll("10.0.0.3", "10.0.0.44"),
          ),
        ["10.0.0.2", "10.0.0.44"],
      ],
      [() => Deno.removeSync(path), []],
    ];
    for (const [change, expected] of changes) {
      const store = openStore(folder, NET);
      store.read();
      await change();
      let seen: string[] = [];
      await store.update((state) => {
        seen = Object.keys(state.ipToContainer);
        return false;
      }, NEVER);
      assertEquals(seen, expected);
    }
  });
});

Deno.test("what a killed run left of its write goes with the next update, or a sweep", async () => {
  await inFolder(async (folder) => {
    const left = join(folder, ".podnet.0123456789abcdef.tmp");
    const store = openStore(folder, NET);
    await store.sweep(NEVER);
    assertEquals(namesOf(folder), []);
    Deno.writeTextFileSync(left, "x");
    await store.sweep(NEVER);
    assertEquals(namesOf(folder), ["podnet.lock"]);
    Deno.writeTextFileSync(left, "x");
    await update(folder);
    assertEquals(namesOf(folder), ["podnet.lock"]);
  });
});

Deno.test("what was listed ahead of an update goes with it, and what came later with the next", async () => {
  await inFolder(async (folder) => {
    const [early, later] = ["0".repeat(16), "1".repeat(16)].map((it) => `.podnet.${it}.tmp`);
    const store = openStore(folder, NET);
    const nothing = () => store.update(() => false, NEVER);
    Deno.writeTextFileSync(join(folder, `${early}`), "x");
    store.willUpdate();
    Deno.writeTextFileSync(join(folder, `${later}`), "x");
    await nothing();
    assertEquals(namesOf(folder), [`${later}`, "podnet.lock"]);
    await nothing();
    assertEquals(namesOf(folder), ["podnet.lock"]);
    // One whose writer has ended meanwhile is no failure.
    Deno.writeTextFileSync(join(folder, `${early}`), "x");
    store.willUpdate();
    Deno.removeSync(join(folder, `${early}`));
    await nothing();
  });
});

Deno.test("a damaged state is begun anew where that is allowed, and a newer one never", async () => {
  await inFolder(async (folder) => {
    const path = statePath(folder, NET);
    const anew = async (allowed: boolean) => {
      const kept: (string | undefined)[] = [];
      let origin: Origin | undefined;
      await openStore(folder, NET).update(
        (state, from) => {
          origin = from;
          return put(state, "10.0.0.2");
        },
        NEVER,
        {
          mustBeUnused: (damage) => allowed ? Promise.resolve() : Promise.reject(damage),
          startedAnew: (aside) => kept.push(aside),
        },
      );
      return { kept, origin };
    };
    Deno.writeTextFileSync(path, "damaged");
    await assertRejects(() => update(folder), CniError, "as a state file");
    await assertRejects(() => anew(false), CniError, "as a state file");
    assertEquals(Deno.readTextFileSync(path), "damaged");
    const { kept, origin } = await anew(true);
    assertEquals([kept.length, origin], [1, "missing"]);
    assertMatch(kept[0] ?? "", /podnet\.json\.damaged-\d{8}T/);
    assertEquals(Deno.readTextFileSync(kept[0] ?? ""), "damaged");
    assertEquals(await update(folder), ["written", ["10.0.0.2"]]);
    Deno.writeTextFileSync(path, '{"schema":4}');
    const newer = assertThrows(() => openStore(folder, NET).read(), CniError, "schema 4");
    assertEquals([newer.code, isUnreadable(newer)], [104, false]);
    await assertRejects(() => anew(true), CniError, "schema 4");
    assertEquals(Deno.readTextFileSync(path), '{"schema":4}');
  });
});

Deno.test("rebuild() replaces whatever stands there, and keeps a damaged file beside", async () => {
  await inFolder(async (folder) => {
    const path = statePath(folder, NET);
    const store = openStore(folder, NET);
    const state = emptyState();
    put(state, "10.0.0.7");
    Deno.writeTextFileSync(path, "damaged");
    assertEquals(await store.rebuild(() => Promise.resolve(undefined), NEVER), undefined);
    assertEquals(Deno.readTextFileSync(path), "damaged");
    const aside = await store.rebuild(() => Promise.resolve({ state, keepOld: true }), NEVER);
    assertEquals(Deno.readTextFileSync(aside ?? ""), "damaged");
    assertEquals(await update(folder), ["written", ["10.0.0.7"]]);
    assertEquals(
      await store.rebuild(() => Promise.resolve({ state, keepOld: false }), NEVER),
      undefined,
    );
    assertEquals(namesOf(folder).length, 3);
  });
});
