import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { ERROR_CODES, type ErrorName } from "../../lib/base/errors.ts";
import { CODES } from "../../lib/cli/codes.ts";
import { run } from "../integration/host.ts";
import { errorsPage } from "../../tools/pages/errors_page.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** The text of every TypeScript file of the program, without comments. */
function sources(folder: string): { path: string; text: string }[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return sources(path);
    return name.endsWith(".ts") ? [read(path)] : [];
  });
}

function read(path: string): { path: string; text: string } {
  const text = Deno.readTextFileSync(path).replaceAll(/^\s*(\/\/|\/?\*).*$/gm, "");
  return { path: path.slice(ROOT.length), text };
}

const SOURCES = [read(`${ROOT}main.ts`), ...sources(`${ROOT}lib`)];

/** The text of each `new CniError(…)`, up to its closing bracket. */
function thrown(): { path: string; call: string }[] {
  return SOURCES.flatMap(({ path, text }) =>
    text.split("new CniError(").slice(1).map((rest) => {
      let open = 1;
      let end = 0;
      for (; open > 0 && end < rest.length; end++) {
        if (rest[end] === "(") open++;
        if (rest[end] === ")") open--;
      }
      return { path, call: rest.slice(0, end - 1) };
    })
  );
}

Deno.test("docs/errors.md is generated from the table of codes", async () => {
  const { code, stdout, stderr } = await run(
    [Deno.execPath(), "fmt", "-q", "--config", `${ROOT}deno.json`, "--ext", "md", "-"],
    errorsPage(),
  );
  assertEquals(code, 0, stderr);
  assertEquals(
    await Deno.readTextFile(`${ROOT}docs/errors.md`),
    stdout,
    "run tools/pages/docs and commit docs/errors.md",
  );
});

Deno.test("every code that is thrown is in the table, and every code in the table is thrown", () => {
  const names = Object.keys(ERROR_CODES) as ErrorName[];
  // The code appears by name in `new CniError` or in a call that passes it on.
  const used = names.filter((name) =>
    SOURCES.some(({ path, text }) => path !== "lib/base/errors.ts" && text.includes(`"${name}"`)) ||
    name === "Bug"
  );
  assertEquals(used, names);
  assertEquals(Object.keys(CODES).sort(), Object.values(ERROR_CODES).map(String).sort());
  assert(thrown().length > 25, `only ${thrown().length} places found`);
});

Deno.test("every error names a remedy", () => {
  // The type requires a text, which may be empty.
  const silent = thrown().filter(({ call }) => /,\s*(?:""|``|'')\s*,?\s*$/.test(call));
  assertEquals(silent, []);
});

Deno.test("no message is written in two places", () => {
  const messages = thrown().flatMap(({ path, call }) => {
    const text = /^[^,]*,\s*(?:"([^"]*)"|`((?:[^`\\]|\\.)*)`|'([^']*)')/.exec(call);
    const message = text?.[1] ?? text?.[2] ?? text?.[3];
    return message === undefined
      ? []
      : [{ path, message: message.replaceAll(/\$\{[^}]*\}/g, "…") }];
  });
  const twice = messages.filter(({ message }, index) =>
    messages.findIndex((it) => it.message === message) !== index
  );
  assertEquals(twice, []);
});
