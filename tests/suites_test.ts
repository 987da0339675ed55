import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";

const ROOT = fromFileUrl(new URL("../", import.meta.url));
/** Where suites are started: tasks, make targets, and the shell scripts of tools/. */
const STARTED_IN = [
  ...["deno.json", "Makefile"],
  ...[...Deno.readDirSync(`${ROOT}tools`)].filter(({ name, isFile }) =>
    isFile && !name.includes(".")
  )
    .map(({ name }) => `tools/${name}`),
];

function filesBelow(folder: string): string[] {
  return [...Deno.readDirSync(`${ROOT}${folder}`)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(`${folder}/${name}`) : [`${folder}/${name}`]
  ).toSorted();
}

const FILES = filesBelow("tests").filter((file) => file.endsWith(".ts"));
const isTest = (file: string) => file.endsWith("_test.ts");

Deno.test("every file with tests is started by a make target", () => {
  const started = STARTED_IN.flatMap((file) => {
    const text = Deno.readTextFileSync(`${ROOT}${file}`).replaceAll(/^\s*#.*$/gm, "");
    return text.match(/\btests\/[\w*\/.]+/g) ?? [];
  });
  assert(started.length > 5, started.join(" "));
  const isStarted = (file: string) =>
    started.some((it) =>
      file === it || file.startsWith(`${it}/`) ||
      (it === "tests/*_test.ts" && /^tests\/[^/]+_test\.ts$/.test(file))
    );
  assertEquals(FILES.filter((file) => isTest(file) && !isStarted(file)), []);
});

Deno.test("a file that has tests as it is loaded is called _test.ts", () => {
  const loaded = /^(Deno\.test|hostTest|nodeTest|tableTest)\(/m;
  const has = (file: string) => loaded.test(Deno.readTextFileSync(`${ROOT}${file}`));
  assertEquals(FILES.filter((file) => !isTest(file) && has(file)), []);
  assert(FILES.filter((file) => isTest(file) && has(file)).length > 50);
});

Deno.test("every suite with packages of its own is run by CI, where only those are installed", () => {
  const makefile = Deno.readTextFileSync(`${ROOT}Makefile`);
  const suites = [
    ...makefile.matchAll(/^([a-z0-9-]+):.*\n(?:\t.*\n)*?\t.*\$\([A-Z0-9]+_PACKAGES\)/gm),
  ]
    .map(([, target]) => target)
    .filter((it) => it !== "packages" && it !== "missing-packages");
  assert(suites.length > 8, suites.join(" "));
  const ci = Deno.readTextFileSync(`${ROOT}.ci/run`);
  const isRun = (suite?: string) => new RegExp(`^ *with_[a-z]+ .*make ${suite}\\b`, "m").test(ci);
  assertEquals(suites.filter((it) => !isRun(it)), []);
});
