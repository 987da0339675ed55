import { ELSEWHERE } from "./elsewhere.ts";
import { nameOf } from "./lab.ts";
import { LIBCNI_CHECKS } from "./libcni_checks.ts";
import { ROWS } from "./rows.ts";
import { type Rule, RULES } from "./rules.ts";

/** A test, as a report of `deno test --junit-path` names it, and as a page names it. */
export interface Proof {
  readonly test: string;
  readonly what: string;
}

/** A rule and the tests that prove it. */
export interface Covered {
  readonly rule: Rule;
  readonly proofs: readonly Proof[];
}

const TESTS: readonly (Proof & { readonly rules: string })[] = [
  ...ROWS.map((row) => ({ rules: row.rules, test: nameOf(row), what: row.what })),
  ...LIBCNI_CHECKS.map((it) => ({ ...it, test: nameOf(it) })),
  ...ELSEWHERE.map((it) => ({ ...it, test: it.what, what: `${it.file}: ${it.what}` })),
];

export const COVERAGE: readonly Covered[] = RULES.map((rule) => ({
  rule,
  proofs: TESTS.filter(({ rules }) => rules.split(" ").includes(rule.id)),
}));

/** The errors of the table itself: rules without a test or reason, tests of unknown rules. */
export function gaps(): string[] {
  const known = new Set(RULES.map(({ id }) => id));
  return [
    ...COVERAGE.flatMap(({ rule: { id, says, notForUs }, proofs }) => {
      const tested = proofs.length > 0;
      if (notForUs !== undefined) {
        return tested ? [`${id} is marked 'not for us', yet has a test`] : [];
      }
      return tested ? [] : [`${id} has no test: ${says}`];
    }),
    ...TESTS.flatMap(({ rules, what }) =>
      rules.split(" ").filter((id) => !known.has(id)).map((id) =>
        `"${what}" names ${id}, which is not a rule`
      )
    ),
    ...TESTS.filter(({ test }, index) => TESTS.findIndex((it) => it.test === test) !== index)
      .map(({ test }) => `two tests have the name "${test}"`),
  ];
}
