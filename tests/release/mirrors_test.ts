import { assertEquals, assertMatch } from "@std/assert";
import { type Finished, run } from "../integration/host.ts";
import { CHECKOUT } from "./workflow.ts";

const STAND_INS = `${CHECKOUT}tools/build/jsr`;

async function sh(script: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(["sh", "-euc", script, "sh", ...args], "");
  assertEquals(code, 0, `${stdout}${stderr}`);
  return stdout;
}

/** The script form, built in a new clone from that mirror of JSR. */
async function build(clone: string, mirror: string): Promise<Finished> {
  await sh('git clone -q "$1" "$2"', CHECKOUT, clone);
  return await run(["sh", `${clone}/tools/build/build`, "script"], "", {
    ...Deno.env.toObject(),
    JSR_URL: `file://${mirror}/`,
  });
}

Deno.test("a mirror with newer versions gives the same bytes", async () => {
  const folder = await Deno.makeTempDir();
  try {
    // The newest version of each package could not even be parsed.
    await sh(
      `mkdir "$2" && cp -a "$1" "$2/a" && cp -a "$1" "$2/b"
      for meta in "$2"/b/@std/*/meta.json; do
        sed -i 's|"latest": "[^"]*", "versions": {|"latest": "1.99.0", "versions": { "1.99.0": {},|' $meta
        grep -q '1.99.0": {}' $meta
        echo '{ "manifest": {}, "exports": {} }' >\${meta%/*}/1.99.0_meta.json
      done`,
      STAND_INS,
      `${folder}/mirrors`,
    );
    for (const name of ["a", "b"]) {
      const { code, stderr } = await build(`${folder}/${name}`, `${folder}/mirrors/${name}`);
      assertEquals(code, 0, stderr);
    }
    await sh('cmp "$1/a/bin/atomicni.js" "$1/b/bin/atomicni.js"', folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a package with another version than in deno.json is refused", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const mirror = `${folder}/mirror`;
    await sh(
      `cp -a "$1" "$2" && cd "$2/@std"
      mkdir -p json/1.99.0
      echo '{ "scope": "std", "name": "json", "latest": "1.99.0", "versions": { "1.99.0": {} } }' >json/meta.json
      echo '{ "manifest": {}, "exports": { ".": "./mod.ts" } }' >json/1.99.0_meta.json
      echo 'export const isJson = true;' >json/1.99.0/mod.ts
      echo 'export { isJson } from "jsr:@std/json@^1.0.0";' >>jsonc/1.0.2/mod.ts`,
      STAND_INS,
      mirror,
    );
    const { code, stderr } = await build(`${folder}/clone`, mirror);
    assertEquals(code, 1);
    assertMatch(stderr, /deno\.json has other versions than @std\/json@1\.99\.0/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
