import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import manifest from "../../deno.json" with { type: "json" };
import { type Finished, run } from "../integration/host.ts";
import { CHECKOUT, type Step, workflow } from "./workflow.ts";

const TAG = `v${manifest.version}`;

/** A program that only notes its arguments. It replaces programs that would change the machine or need the forge. */
const NOTING = `#!/bin/sh\nprintf '%s\\n' "$(basename "$0") $*" >>"$NOTES"\n`;

/** A clone of the committed tree with that commit tagged, and programs that only note their arguments. */
async function withClone(
  body: (clone: string, env: Record<string, string>) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "atomicni-release-" });
  try {
    const clone = `${folder}/clone`;
    await output(["git", "clone", "-q", CHECKOUT, clone]);
    await output(["git", "-C", clone, "tag", "-f", TAG]);
    await Deno.mkdir(`${folder}/bin`);
    for (const name of ["gh", "apt-get"]) {
      await Deno.writeTextFile(`${folder}/bin/${name}`, NOTING, { mode: 0o755 });
    }
    const { JSR_URL: _, DENORT_BIN: __, ...env } = Deno.env.toObject();
    await body(clone, {
      ...env,
      HOME: Deno.env.get("HOME") ?? "/root",
      PATH: `${folder}/bin:${env["PATH"]}`,
      NOTES: `${folder}/notes`,
      // git config --global belongs to the step, not to this machine.
      GIT_CONFIG_GLOBAL: `${folder}/gitconfig`,
      GITHUB_REF_NAME: TAG,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function output(command: readonly string[], env?: Record<string, string>): Promise<string> {
  const { code, stdout, stderr } = await run(command, "", env);
  assertEquals(code, 0, `${command.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

/** A step's script as the runner starts it, but with any available runtime of Deno. */
async function step(
  { run: script = "", ...it }: Step,
  clone: string,
  env: Record<string, string>,
): Promise<Finished> {
  const folder = `${clone}/${it["working-directory"] ?? ""}`;
  return await run(["sh", "-ec", `cd "$0"\n${script}`, folder], "", env);
}

Deno.test("the steps of release.yml: a release of both architectures, checked by its checksums, published whole", async () => {
  const { jobs: { release } } = await workflow("release");
  // Packages to try the other architecture's builds: the replaced apt fetches nothing.
  for (const other of ["aarch64", "x86_64"]) {
    if (other !== Deno.build.arch) {
      await output(["sh", `${CHECKOUT}tools/debian/foreign_root`, other]);
    }
  }
  await withClone(async (clone, env) => {
    for (const it of release?.steps ?? []) {
      if (it.run === undefined) continue;
      const { code, stdout, stderr } = await step(it, clone, env);
      assertEquals(code, 0, `${it.name}: ${stdout}${stderr}`);
    }
    const folder = `${clone}/build/release`;
    const files = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    const isBorrowed = files.includes("FOR-TRYING");
    const expected = [
      ...(isBorrowed ? ["FOR-TRYING"] : []),
      "SHA256SUMS",
      ...["atomicni-aarch64", "atomicni-x86_64", "atomicni.js"].flatMap((
        it,
      ) => [it, `${it}.cdx.json`, `${it}.scope.txt`]),
      ...["amd64", "arm64"].map((it) => `atomicni_${manifest.version}_${it}.deb`),
    ];
    assertEquals(files, expected.sort());

    const notes = (await Deno.readTextFile(env["NOTES"] ?? "")).trim().split("\n");
    assertMatch(notes[0] ?? "", /^apt-get -qq update/);
    assertEquals(
      notes.at(-1),
      `gh release create ${TAG} --verify-tag --generate-notes ${
        files.map((it) => `build/release/${it}`).join(" ")
      }`,
    );
    await agrees(folder, isBorrowed);
  });
});

/** Each file agrees with the published papers: checksums, bill of materials, scope, package. */
async function agrees(folder: string, isBorrowed: boolean): Promise<void> {
  for (const name of ["atomicni.js", "atomicni-x86_64", "atomicni-aarch64"]) {
    const [sum = ""] = (await output(["sha256sum", `${folder}/${name}`])).split(" ");
    const bill = JSON.parse(await Deno.readTextFile(`${folder}/${name}.cdx.json`));
    assertEquals(bill.metadata.component.hashes, [{ alg: "SHA-256", content: sum }], name);
    const scope = await Deno.readTextFile(`${folder}/${name}.scope.txt`);
    assertStringIncludes(scope, `sha256 ${sum}\nas deno.json declares`);
    assertStringIncludes(scope, "write  /var/lib/atomicni\n");
  }
  for (
    const [architecture, name] of [["amd64", "atomicni-x86_64"], ["arm64", "atomicni-aarch64"]]
  ) {
    const deb = `${folder}/atomicni_${manifest.version}_${architecture}.deb`;
    const inside =
      'dpkg-deb --fsys-tarfile "$0" | tar -xO ./usr/lib/atomicni/atomicni | cmp - "$1"';
    await output(["sh", "-c", inside, deb, `${folder}/${name}`]);
    assertEquals(/borrowed/.test(await output(["dpkg-deb", "-f", deb, "Description"])), isBorrowed);
  }
  const [, start = ""] = (await Deno.readTextFile(`${folder}/atomicni.js`)).split("\n");
  assertMatch(start, /^":" \/\/; n="\/usr\/local\/bin\/deno"; /);
}

Deno.test("a release is refused if the tag is not the version or something is uncommitted", async () => {
  await withClone(async (clone, env) => {
    const other = await run(
      [`${clone}/tools/release/release`, "build/release", "v99.0.0"],
      "",
      env,
    );
    assertEquals(other.code, 1);
    assertStringIncludes(other.stderr, `the tag v99.0.0 is not the version: ${TAG}`);
    await Deno.writeTextFile(`${clone}/main.ts`, "\n", { append: true });
    const changed = await run([`${clone}/tools/release/release`], "", env);
    assertEquals(changed.code, 1);
    assertStringIncludes(changed.stderr, "commit first");
  });
});

Deno.test("DENORT=own: Deno's own runtime, or no file", async () => {
  await withClone(async (clone, env) => {
    const { code, stderr } = await run(["sh", `${clone}/tools/build/build`, "compiled"], "", {
      ...env,
      DENORT: "own",
    });
    if (code === 0) {
      const { borrowedRuntime } = JSON.parse(
        await output([`${clone}/bin/atomicni`, "version", "--json"]),
      );
      assertEquals(borrowedRuntime, false);
    } else {
      assertStringIncludes(stderr, "no denort of Deno's own");
      assert(
        ![...Deno.readDirSync(`${clone}/bin`)].some(({ name }) => name.startsWith("atomicni")),
      );
    }
  });
});
