import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { BUILT, CONFIG, type Host, hostTest, STATE_FOLDER } from "./host.ts";

const CACHE = `${STATE_FOLDER}/.deno`;
const isScript = BUILT?.endsWith(".js") ?? false;

/** A container, and no compiled code yet. */
async function begin(host: Host): Promise<void> {
  await host.containers("c1");
  await host.sh(`rm -rf ${CACHE}`);
}

async function cached(host: Host, folder = CACHE): Promise<string[]> {
  const found = await host.sh(`find ${folder} -type f`);
  return found.split("\n").filter((name) => name !== "");
}

/**
 * Things that an unprivileged user can have put into the state folder, or next to the cache, before root's next
 * ADD.
 */
const FOREIGN: readonly [name: string, prepare: string, folder: string][] = [
  [
    "a cache folder in a state folder that others may write to",
    `mkdir -m 700 ${CACHE}; chmod 777 ${STATE_FOLDER}`,
    CACHE,
  ],
  [
    "a cache folder in a state folder that its group may write to",
    `mkdir -m 700 ${CACHE}; chmod 770 ${STATE_FOLDER}`,
    CACHE,
  ],
  ["another user's cache folder", `mkdir -m 755 ${CACHE}; chown 1000 ${CACHE}`, CACHE],
  ["a cache folder that its group may write to", `mkdir ${CACHE}; chmod 770 ${CACHE}`, CACHE],
  ["a cache folder that others may write to", `mkdir ${CACHE}; chmod 777 ${CACHE}`, CACHE],
  [
    "a symlink in the cache folder's place",
    `mkdir -m 700 /run/outside; ln -s /run/outside ${CACHE}`,
    "/run/outside",
  ],
  [
    "another user's symlink in the cache folder's place, the state folder writable",
    `mkdir -m 700 /run/outside; ln -s /run/outside ${CACHE}; chown -h 1000 ${CACHE}
      chmod 777 ${STATE_FOLDER}`,
    "/run/outside",
  ],
];

if (isScript) {
  hostTest("script form: root's own cache folder is used, and root's alone", async (host) => {
    await begin(host);
    await host.add();
    assertNotEquals(await cached(host), [], "no cache: the other tests of this file prove nothing");
    const open = await host.sh(`find ${STATE_FOLDER} -maxdepth 1 -type d -perm /077`);
    assertEquals(open, "", "others can read or write this");
  });

  hostTest("script form: the cache folder that 0.1.0 made is used", async (host) => {
    await begin(host);
    await host.sh(`mkdir -m 755 ${CACHE}`);
    await host.add();
    assertNotEquals(await cached(host), []);
  });

  hostTest(
    "script form: Deno writes its compiled code to the cache within some runs",
    async (host) => {
      await begin(host);
      const sizeOf = async (file: string) =>
        Number(await host.sh(`stat -c %s ${CACHE}/v8_code_cache_v2${file} 2>/dev/null || echo 0`));
      const seen: number[][] = [];
      const isWritten = ([file = 0, beside = 0]: number[]) => file > 65536 && beside <= 65536;
      while (!seen.some(isWritten) && seen.length < 40) {
        // Such a run takes longer to end, but it ends normally.
        await host.add();
        seen.push([await sizeOf(""), await sizeOf("-wal")]);
        assertEquals((await host.cni("DEL")).code, 0);
      }
      assert(
        seen.some(isWritten),
        `bytes in the cache and next to it, after each ADD: ${seen.join("; ")}`,
      );
      const failed = await host.cni("ADD", { config: { ...CONFIG, mtu: -5 } });
      assertEquals([failed.code, JSON.parse(failed.stdout).code], [1, 7]);
    },
  );

  hostTest(
    "script form: a completed ADD stays completed, even if Deno can't write its cache",
    async (host) => {
      const ids = ["c1", "c2", "c3", "c4", "c5", "c6"];
      await begin(host);
      await host.containers(...ids.slice(1));
      const all = async (command: string) => {
        for (
          const { code, stderr } of await Promise.all(ids.map((id) => host.cni(command, { id })))
        ) {
          assertEquals([code, stderr], [0, ""], command);
        }
      };
      // Several at once, without compiled code.
      for (let round = 0; round < 4; round++) {
        await host.sh(`rm -rf ${CACHE}`);
        await all("ADD");
        await all("DEL");
      }
      // No disk space for the cache.
      await host.sh(`rm -rf ${CACHE}; mkdir -m 700 ${CACHE}
      mount -t tmpfs -o mode=700,size=1300k tmpfs ${CACHE}`);
      for (let round = 0; round < 4; round++) {
        await all("ADD");
        await all("DEL");
      }
      await host.assertNothingLeft();
    },
  );

  for (const [name, prepare, folder] of FOREIGN) {
    hostTest(`script form: ${name} is not used`, async (host) => {
      await begin(host);
      await host.sh(prepare);
      const { code, stdout, stderr } = await host.cni("ADD");
      assertEquals(await cached(host, folder), [], `something was kept in it (exit ${code})`);
      assertEquals(code, 0, stdout + stderr);
    });
  }
}
