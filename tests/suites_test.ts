import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";

const ROOT = fromFileUrl(new URL("../", import.meta.url));
const read = (file: string) => Deno.readTextFileSync(`${ROOT}${file}`);

function filesBelow(folder: string): string[] {
  return [...Deno.readDirSync(`${ROOT}${folder}`)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(`${folder}/${name}`) : [`${folder}/${name}`]
  ).toSorted();
}

const IN_TESTS = filesBelow("tests");
const FILES = IN_TESTS.filter((file) => file.endsWith(".ts"));
/** The programs that run one suite: `make suite NAME=guard` starts tests/guard/run. */
const RUNS = IN_TESTS.filter((file) => /^tests\/\w+\/run$/.test(file));
const isTest = (file: string) => file.endsWith("_test.ts");
const withoutComments = (text: string) => text.replaceAll(/^\s*#.*$/gm, "");

Deno.test("every file with tests is started by a task, a make target or a suite", () => {
  const started = ["deno.json", "Makefile", ...RUNS].flatMap((file) =>
    withoutComments(read(file)).match(/\btests\/[\w*\/.]+/g) ?? []
  );
  assert(started.length > 5, started.join(" "));
  const isStarted = (file: string) =>
    started.some((it) =>
      file === it || file.startsWith(`${it}/`) ||
      (it === "tests/*_test.ts" && /^tests\/[^/]+_test\.ts$/.test(file))
    );
  assertEquals(FILES.filter((file) => isTest(file) && !isStarted(file)), []);
});

Deno.test("a file that has tests as it is loaded is called _test.ts", () => {
  const loaded = /^((Deno\.)?test|hostTest|nodeTest|tableTest)\(/m;
  const has = (file: string) => loaded.test(read(file));
  assertEquals(FILES.filter((file) => !isTest(file) && has(file)), []);
  assert(FILES.filter((file) => isTest(file) && has(file)).length > 50);
});

Deno.test("a test that disposes of something reports the errors of its body and of the disposal", () => {
  const disposes = FILES.filter((file) => /^\s*await using /m.test(read(file)));
  assert(disposes.length > 30, disposes.join(" "));
  assertEquals(disposes.filter((file) => /\bDeno\.test\(/.test(read(file))), [
    "tests/until_test.ts",
  ]);
});

Deno.test("CI runs every suite, where only the suite's own packages are installed", () => {
  const ci = withoutComments(read(".ci/run"));
  const isRun = (suite: string) =>
    new RegExp(`make (suite NAME=)?${suite}\\b|tests/${suite}/`).test(ci);
  const suites = RUNS.map((file) => file.split("/")[1] ?? "");
  assert(suites.length > 12, suites.join(" "));
  assertEquals(suites.filter((it) => !isRun(it)), []);
});

Deno.test("every list of packages is read", () => {
  const lists = [...IN_TESTS, ...filesBelow("bench")].filter((file) => file.endsWith("/packages"));
  const readers = ["Makefile", ...RUNS].map((file) => withoutComments(read(file))).join("\n");
  assertEquals(lists.filter((file) => !readers.includes(`tools/debian/packages ${file}`)), []);
  assert(lists.length > 10, lists.join(" "));
});
