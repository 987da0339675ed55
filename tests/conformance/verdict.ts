/**
 * `verdict.ts REPORT...`: prints for each rule whether its tests ran and passed, from the reports of
 * `deno test --junit-path`. Exit status 1 if one failed or did not run.
 */
import { COVERAGE, type Covered } from "./coverage.ts";

export type Verdict = "passes" | "fails" | "not run" | "not for us";

export interface RuleVerdict {
  readonly id: string;
  readonly verdict: Verdict;
  /** The tests that failed or are missing in all reports. */
  readonly because: readonly string[];
}

/** The outcome of each rule according to the reports. */
export function verdicts(reports: readonly string[], coverage: readonly Covered[]): RuleVerdict[] {
  const outcomes = outcomesOf(reports);
  return coverage.map(({ rule: { id, notForUs }, proofs }) => {
    if (notForUs !== undefined) return { id, verdict: "not for us", because: [] };
    const that = (wanted: boolean | undefined) =>
      proofs.filter(({ test }) => outcomes.get(test) === wanted).map(({ test }) => test);
    const [failed, absent] = [that(false), that(undefined)];
    if (failed.length > 0) return { id, verdict: "fails", because: failed };
    if (absent.length > 0) return { id, verdict: "not run", because: absent };
    return { id, verdict: "passes", because: [] };
  });
}

/** Whether each test passed in all reports that contain it; a step has its own name. */
function outcomesOf(reports: readonly string[]): Map<string, boolean> {
  const outcomes = new Map<string, boolean>();
  for (const report of reports) {
    for (const [, name = "", body = ""] of report.matchAll(CASE)) {
      if (body.includes("<skipped")) continue;
      const test = unescaped(name).split(" > ").at(-1) ?? "";
      outcomes.set(test, !body.includes("<failure") && outcomes.get(test) !== false);
    }
  }
  return outcomes;
}

const CASE = /<testcase name="([^"]*)"[^>]*>([^]*?)<\/testcase>/g;
const NAMED: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescaped(text: string): string {
  return text.replaceAll(/&(#x?[0-9a-fA-F]+|\w+);/g, (whole, name: string) => {
    if (!name.startsWith("#")) return NAMED[name] ?? whole;
    return String.fromCodePoint(Number(name.slice(1).replace(/^x/, "0x")));
  });
}

if (import.meta.main) {
  const said = verdicts(Deno.args.map((path) => Deno.readTextFileSync(path)), COVERAGE);
  const count = (wanted: Verdict) => said.filter(({ verdict }) => verdict === wanted).length;
  const bad = said.filter(({ verdict }) => verdict === "fails" || verdict === "not run");
  const lines = [
    ...bad.map(({ id, verdict, because }) => `rule ${id}: ${verdict}: ${because.join("; ")}`),
    `rules: ${count("passes")} pass, ${count("fails")} fail, ${count("not run")} not run, ` +
    `${count("not for us")} are not for this plugin`,
  ];
  Deno.stdout.writeSync(new TextEncoder().encode(lines.map((line) => `${line}\n`).join("")));
  Deno.exit(bad.length === 0 ? 0 : 1);
}
