import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import manifest from "../../deno.json" with { type: "json" };
import { scopeOf } from "../audit/scope.ts";
import { run } from "../integration/host.ts";

const CHECKOUT = fromFileUrl(new URL("../../", import.meta.url));
/** The compiled file for aarch64 that tests/arm64/run has built. */
const FILE = Deno.env.get("ARM64") ?? `${CHECKOUT}bin/atomicni-aarch64`;
/** Both forms, each with the emulator that starts it. */
const FORMS = [`${CHECKOUT}build/arm64/atomicni`, `${CHECKOUT}build/arm64/atomicni.js`];

async function output(command: readonly string[], env?: Record<string, string>): Promise<string> {
  const { code, stdout, stderr } = await run(command, "", env);
  assertEquals(code, 0, `${command.join(" ")}: ${stderr}`);
  return stdout;
}

Deno.test("arm64: the ELF header is that of a 64-bit program for AArch64, linked to glibc", async () => {
  const header = new DataView((await Deno.readFile(FILE)).buffer, 0, 20);
  assertEquals(header.getUint32(0), 0x7f454c46, "ELF");
  assertEquals([header.getUint8(4), header.getUint8(5)], [2, 1], "64 bit, little-endian");
  assertEquals(header.getUint16(18, true), 183, "AArch64");
  const text = await output(["readelf", "-W", "-l", FILE]);
  assertMatch(text, /program interpreter: \/lib\/ld-linux-aarch64\.so\.1\]/);
});

Deno.test("arm64: the permissions in the file are those of deno.json, as in the file for x86-64", async () => {
  const { read, write, run, env } = manifest.permissions.plugin;
  assertEquals(scopeOf(FILE), { read, write, run, env, more: [], asks: false });
  // As an auditor reads them, without this project's own reader.
  const found = async (file: string) =>
    (await output(["grep", "-aoP", '"permissions":\\{.*?\\}(?=,")', file])).trim().split("\n").at(
      -1,
    );
  const here = await found(FILE);
  assertMatch(here ?? "", /"allow_write":\["\/var\/lib\/atomicni"\].*"prompt":false/);
  if (Deno.build.arch === "x86_64") assertEquals(here, await found(`${CHECKOUT}bin/atomicni`));
});

for (const program of FORMS) {
  const form = program.endsWith(".js") ? "script" : "compiled";
  Deno.test(`arm64: the ${form} form runs on an aarch64 Deno and reports the same scope`, async () => {
    const reported = JSON.parse(await output([program, "version", "--json"]));
    assertMatch(reported.form, new RegExp(`^${form}`));
    assertEquals(reported.scope, manifest.permissions.plugin);
    assertEquals(reported.beyondScope ?? [], []);
    const here = JSON.parse(
      await output([
        `${CHECKOUT}bin/atomicni${form === "script" ? ".js" : ""}`,
        "version",
        "--json",
      ]),
    );
    // Each reports the commit from which it was built.
    delete reported.commit;
    delete here.commit;
    assertEquals(reported, here, "the same as on this machine's architecture");
  });

  Deno.test(`arm64: the ${form} form answers VERSION with one document`, async () => {
    const { supportedVersions } = JSON.parse(await output([program], { CNI_COMMAND: "VERSION" }));
    assert(supportedVersions.includes("1.1.0"));
  });
}

Deno.test("arm64: the pinned Deno has the same version as on x86-64, and runs the script form", async () => {
  const [, version = ""] = /@deno\/linux-arm64-glibc@([0-9.]+)/.exec(
    await Deno.readTextFile(`${CHECKOUT}tools/build/deno`),
  ) ?? [];
  assertMatch(
    await Deno.readTextFile(`${CHECKOUT}tools/build/deno`),
    new RegExp(`@deno/linux-x64-glibc@${version} `),
  );
  const { deno } = JSON.parse(await output([FORMS[1] ?? "", "version", "--json"]));
  assertEquals(deno, version);
});
