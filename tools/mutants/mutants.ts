/**
 * Deletes each statement of lib/ in turn, and records the tests that fail. All variants are in one copy of the tree
 * (`build/mutants/tree`): each statement becomes `if (MUTANT !== 17) …`, and one number selects the deleted one.
 * tools/mutants/mutants lists the variables.
 */
import { randomFrom } from "../../tests/random.ts";

const [TREE, DENO] = ["build/mutants/tree", Deno.execPath()];
const OUT = Deno.env.get("OUT") ?? "build/mutants/results.jsonl";
const FILES = new RegExp(Deno.env.get("FILES") || ".");
const SAMPLE = Number(Deno.env.get("SAMPLE") || Infinity);
const SEED = Number(Deno.env.get("SEED") || 1);
/** Later groups run only for a statement that no test of an earlier group notices, and end with the first failure. */
const GROUPS = (Deno.env.get("TESTS") || "tests/unit").split(",").map((it) => it.trim().split(" "));
/** A deleted statement may be the one that ends a loop. */
const SECONDS = Number(Deno.env.get("SECONDS") || 300);
/** As a text in the source, the number survives bundling and can be replaced in the built file. */
const NONE = 1_000_000;
const runsProgram = (test: string) => !test.startsWith("tests/unit");
const USES_PROGRAM = GROUPS.flat().some(runsProgram);

interface Mutant {
  readonly number: number;
  readonly file: string;
  readonly line: number;
  /** The first line of the deleted statement. */
  readonly text: string;
}

interface Result extends Mutant {
  readonly failed: readonly string[];
}

const say = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

async function run(command: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const [program = "", ...args] = command;
  const child = new Deno.Command(program, {
    args,
    cwd: TREE,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const { stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return decoder.decode(stdout) + decoder.decode(stderr);
}

/** The places of the statements of all files below lib/. */
async function statements(): Promise<Map<string, [start: number, end: number][]>> {
  const config = `${await Deno.realPath(TREE)}/../lint.json`;
  const plugin = await Deno.realPath("tools/mutants/statements.ts");
  const rules = { tags: [], include: ["mutants/statement"] };
  await Deno.writeTextFile(config, JSON.stringify({ lint: { plugins: [plugin], rules } }));
  const report = JSON.parse(await run([DENO, "lint", "--json", "-c", config, "lib"]));
  const found = new Map<string, [number, number][]>();
  for (const { filename, message } of report.diagnostics) {
    const file = filename.slice(filename.indexOf(`/${TREE}/`) + TREE.length + 2);
    const [start, end] = message.split(" ").map(Number);
    found.set(file, [...found.get(file) ?? [], [start, end]]);
  }
  return new Map([...found].sort());
}

/** Rewrites lib/ of the copy, and returns its mutants. */
async function instrument(): Promise<Mutant[]> {
  const mutants: Mutant[] = [];
  for (const [file, places] of await statements()) {
    const source = await Deno.readTextFile(`${TREE}/${file}`);
    const insertions: [at: number, isEnd: boolean, size: number, text: string][] = [];
    for (const [start, end] of places) {
      const number = NONE + mutants.length + 1;
      const text = source.slice(start, end).split("\n")[0] ?? "";
      mutants.push({ number, file, line: source.slice(0, start).split("\n").length, text });
      insertions.push([start, false, end - start, `{if(MUTANT!==${number}){`]);
      insertions.push([end, true, end - start, "}}"]);
    }
    // At one place, inner ends come before outer ones, ends before starts, and outer starts before inner ones.
    insertions.sort(([a, isEndA, sizeA], [b, isEndB, sizeB]) =>
      a - b || Number(isEndB) - Number(isEndA) || (isEndA ? sizeA - sizeB : sizeB - sizeA)
    );
    let [text, last] = ["", 0];
    for (const [at, , , inserted] of insertions) {
      text += source.slice(last, at) + inserted;
      last = at;
    }
    const up = "../".repeat(file.split("/").length - 2) || "./";
    const first = `import { MUTANT } from "${up}mutant.ts"; `;
    await Deno.writeTextFile(`${TREE}/${file}`, first + text + source.slice(last));
  }
  return mutants;
}

/** Deletes one statement, or none, from the copy and from its built file. */
async function select(number: number, built: string | undefined): Promise<void> {
  const text = (it: number) => `JSON.parse("${it}")`;
  await Deno.writeTextFile(`${TREE}/lib/mutant.ts`, `export const MUTANT = ${text(number)};\n`);
  if (built === undefined) return;
  await Deno.writeTextFile(
    `${TREE}/bin/atomicni.js`,
    built.replace(text(NONE), () => text(number)),
  );
  await Deno.chmod(`${TREE}/bin/atomicni.js`, 0o755);
}

/** The names of the tests that fail: all of the first group with any, but only the first of a later group. */
async function failures(isFirst: boolean, tests: readonly string[]): Promise<string[]> {
  const options = ["-q", "--no-check", "--parallel", "-P=tests", ...isFirst ? [] : ["--fail-fast"]];
  const said = await run(
    ["timeout", "-k", "5", String(SECONDS), DENO, "test", ...options, ...tests],
    USES_PROGRAM ? { ATOMICNI: "bin/atomicni.js" } : {},
  );
  if (!/\d+ passed .*\| \d+ failed/.test(said)) {
    const why = /error: (.*)/.exec(said)?.[1];
    return [why === undefined ? "(the time limit)" : `(${why})`];
  }
  const names = said.matchAll(/^(?:\S+ => )?(.*) \.\.\. FAILED|^(\S+) \(uncaught error\)/gm);
  return [...new Set([...names].map(([, name, file]) => name ?? `${file}`))];
}

/** The files with tests of a group, each with the modules that it imports, also through others. */
async function importsOf(group: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const file of (await run(["find", ...group, "-name", "*_test.ts"])).trim().split("\n")) {
    found.set(file, await run([DENO, "info", "--json", file]));
  }
  return found;
}

/** The same statements of different commits, as far as both have them. */
function sampled(mutants: readonly Mutant[]): Mutant[] {
  const often = new Map<string, number>();
  const place = ({ file, text }: Mutant): number => {
    const key = `${file} ${text}`;
    const count = (often.get(key) ?? 0) + 1;
    often.set(key, count);
    const hash = [...`${key} ${count}`].reduce(
      (sum, it) => Math.imul(sum, 31) + (it.codePointAt(0) ?? 0) | 0,
      SEED,
    );
    return randomFrom(hash)();
  };
  const of = mutants.filter(({ file }) => FILES.test(file)).map((it) => ({ it, at: place(it) }));
  return of.sort((a, b) => a.at - b.at).slice(0, SAMPLE).map(({ it }) => it);
}

function report(results: readonly Result[]): void {
  const unnoticed = results.filter(({ failed }) => failed.length === 0);
  for (const { file, line, text } of unnoticed) say(`unnoticed: ${file}:${line}: ${text}`);
  const alone = new Map<string, number>();
  for (const { failed } of results) {
    const [only] = failed;
    for (const name of failed) alone.set(name, alone.get(name) ?? 0);
    if (only !== undefined && failed.length === 1) alone.set(only, (alone.get(only) ?? 0) + 1);
  }
  for (const [name, count] of alone) if (count === 0) say(`notices nothing alone: ${name}`);
  say(`${results.length} statements deleted, ${results.length - unnoticed.length} noticed`);
}

const mutants = await instrument();
await select(NONE, undefined);
let built: string | undefined;
if (USES_PROGRAM) {
  say(await run(["sh", "tools/build/build", "script"]));
  built = await Deno.readTextFile(`${TREE}/bin/atomicni.js`);
}
const usual: string[] = [];
for (const group of GROUPS) usual.push(...await failures(true, group));
if (usual.length > 0) say(`failing without a deletion, ignored: ${usual.join("; ")}`);
const chosen = sampled(mutants);
say(`${mutants.length} statements, ${chosen.length} chosen (SEED=${SEED})`);
const imports = await importsOf(GROUPS.flat().filter((it) => !runsProgram(it)));
const results: Result[] = [];
await Deno.writeTextFile(OUT, "");
for (const mutant of chosen) {
  await select(mutant.number, built);
  let failed: readonly string[] = [];
  for (const [at, group] of GROUPS.entries()) {
    if (failed.length > 0) break;
    // Only a test that imports the module can notice the deletion without running the program.
    const tests = group.some(runsProgram)
      ? group
      : [...imports].flatMap(([file, all]) => all.includes(`/${mutant.file}"`) ? [file] : []);
    if (tests.length === 0) continue;
    failed = (await failures(at === 0, tests)).filter((it) => !usual.includes(it));
  }
  results.push({ ...mutant, failed });
  await Deno.writeTextFile(OUT, `${JSON.stringify(results.at(-1))}\n`, { append: true });
}
report(results);
