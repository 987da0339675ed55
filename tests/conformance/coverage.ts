import { H11_TESTS } from "./elsewhere.ts";
import { LIBCNI_CHECKS } from "./libcni_checks.ts";
import { ROWS } from "./rows.ts";
import { type Rule, RULES } from "./rules.ts";

/** A rule and the names of the tests that prove it. */
export interface Covered {
  readonly rule: Rule;
  /** Rows of the table. */
  readonly rows: readonly string[];
  /** Tests of other suites. */
  readonly others: readonly string[];
}

const names = (tests: readonly { rules: string; what: string }[], id: string) =>
  tests.filter(({ rules }) => rules.split(" ").includes(id)).map(({ what }) => what);

export const COVERAGE: readonly Covered[] = RULES.map((rule) => ({
  rule,
  rows: names(ROWS, rule.id),
  others: [...names(LIBCNI_CHECKS, rule.id), ...names(H11_TESTS, rule.id)],
}));

/** What is wrong with the table as a table: rules without a test or reason, tests of rules that do not exist. */
export function gaps(): string[] {
  const known = new Set(RULES.map(({ id }) => id));
  const tests = [...ROWS, ...LIBCNI_CHECKS, ...H11_TESTS];
  return [
    ...COVERAGE.flatMap(({ rule: { id, says, notForUs }, rows, others }) => {
      const tested = rows.length + others.length > 0;
      if (notForUs !== undefined) return tested ? [`${id} is 'not for us', yet has a test`] : [];
      return tested ? [] : [`${id} has no test: ${says}`];
    }),
    ...tests.flatMap(({ rules, what }) =>
      rules.split(" ").filter((id) => !known.has(id)).map((id) => `"${what}" names ${id}, no rule`)
    ),
    ...ROWS.filter(({ rules, what }, index) =>
      ROWS.findIndex((it) => it.rules === rules && it.what === what) !== index
    ).map(({ what }) => `"${what}" stands twice in the table`),
  ];
}

if (import.meta.main) {
  const found = gaps();
  await Deno.stdout.write(new TextEncoder().encode(found.map((line) => `${line}\n`).join("")));
  Deno.exit(found.length === 0 ? 0 : 1);
}
