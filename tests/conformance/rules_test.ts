import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { citations, citedIn } from "./cited.ts";
import { gaps } from "./coverage.ts";
import { ELSEWHERE } from "./elsewhere.ts";
import { RULES } from "./rules.ts";
import { verdicts } from "./verdict.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

Deno.test("rules: every rule has a test, or a reason why it is not for this plugin", () => {
  assertEquals(gaps(), []);
});

Deno.test("rules: every rule that a comment of the program cites exists", () => {
  const found = citations();
  assert(found.length > 40, `only ${found.length} found: do comments still say "rule X1"?`);
  const known = new Set(RULES.map(({ id }) => id));
  assertEquals(found.filter(({ rule }) => !known.has(rule)), []);
});

Deno.test("rules: a citation is found in every form", () => {
  const rows: [string, string[]][] = [
    ["/** One of 0.1.0 (rule X9). */", ["X9"]],
    ["// Rules R3, S5 and E6.", ["R3", "S5", "E6"]],
    ["/**\n * Code 1 (rules\n * X8 to\n * X11).\n */", ["X8", "X9", "X10", "X11"]],
    ["  // nothing a DEL needs (rules E19,\n  // D4)", ["E19", "D4"]],
    ['const text = "rule X9";', []],
    ["// V8 compiles it", []],
  ];
  for (const [text, rules] of rows) {
    assertEquals(citedIn("lib/a.ts", text).map(({ rule }) => rule), rules, text);
  }
});

Deno.test("rules: a test that elsewhere.ts names is in that file", async () => {
  for (const { file, what } of ELSEWHERE) {
    assertMatch(await Deno.readTextFile(`${ROOT}${file}`), new RegExp(RegExp.escape(`"${what}"`)));
  }
});

Deno.test("rules: a rule passes only if all its tests ran and passed", () => {
  const covered = (id: string, ...tests: string[]) => ({
    rule: { id, says: "" },
    proofs: tests.map((test) => ({ test, what: test })),
  });
  const report = `
<testcase name="A1: &quot;one&quot;" classname="x"></testcase>
<testcase name="A1 A2: two"><failure message="no">no</failure></testcase>
<testcase name="A3: left out"><skipped/></testcase>
<testcase name="libcni &gt; A4: a step">
</testcase>`;
  const said = verdicts([report], [
    covered("A1", 'A1: "one"'),
    covered("A2", "A1 A2: two", 'A1: "one"'),
    covered("A3", "A3: left out"),
    covered("A4", "A4: a step"),
    covered("A5", 'A1: "one"', "A5: nowhere"),
    { rule: { id: "A6", says: "", notForUs: "no" }, proofs: [] },
  ]);
  assertEquals(
    said.map(({ id, verdict }) => `${id} ${verdict}`),
    ["A1 passes", "A2 fails", "A3 not run", "A4 passes", "A5 not run", "A6 not for us"],
  );
});
