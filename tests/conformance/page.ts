/** Prints build/evidence/conformance.md: every rule with its tests and the files that cite it, and every intended difference. */
import { citations } from "./cited.ts";
import { COVERAGE, type Proof } from "./coverage.ts";
import { DIFFERENCES } from "./differential/differences.ts";
import { FAMILY_DIFFERENCES } from "./differential/family_differences.ts";
import { FAMILY_INPUTS } from "./differential/family_inputs.ts";
import { INPUTS } from "./differential/inputs.ts";
import { AMOUNTS } from "./fuzz/amounts.ts";
import { LIBCNI_CHECKS } from "./libcni_checks.ts";
import { printPage } from "../outcomes.ts";
import { ROWS } from "./rows.ts";

/** The number of tests that a rule lists; `deno test --filter RULE` finds the rest. */
const NAMED = 3;

const HEAD = `<!-- deno-fmt-ignore-file -->

# Conformance to the CNI specification, 0.1.0 to 1.1.0

<!-- Made by tests/conformance/run from tests/conformance/ and from the comments in lib/. -->

\`make conformance\` runs every test named here against both build forms, and then prints for each rule whether its
tests ran and passed. It fails if one did not.

- From a rule to its tests: their names begin with the rule, so \`deno test -P=tests tests/conformance/rows --filter 'B5'\`
  runs those of B5.
- From a rule to the code: the last column has the files whose comments cite it ("rule B5").
- From the code to a rule: find its row in the table below. A test fails for a comment that cites a rule without a row.
`;

/** The content of build/evidence/conformance.md. */
function conformancePage(): string {
  return [HEAD, rules(), differences(), libcni(), fuzz()].join("\n");
}

function rules(): string {
  const found = citations();
  const rows = COVERAGE.map(({ rule: { id, says, notForUs }, proofs }) => {
    const files = new Set(found.filter(({ rule }) => rule === id).map(({ file }) => file));
    const tests = notForUs === undefined ? listed(proofs) : `not for us: ${notForUs}`;
    return [id, cell(says), tests, [...files].map((file) => `\`${file}\``).join(", ")];
  });
  const forUs = COVERAGE.filter(({ rule }) => rule.notForUs === undefined).length;
  return `## Rules

${COVERAGE.length} rules, ${forUs} of them for this plugin; ${ROWS.length} rows under tests/conformance/rows/.

${table(["rule", "what it says", "tests", "cited in"], rows)}
`;
}

function listed(proofs: readonly Proof[]): string {
  const more = proofs.length - NAMED;
  return proofs.slice(0, NAMED).map(({ what }) => cell(what)).join("; ") +
    (more > 0 ? `; and ${more} more` : "");
}

function differences(): string {
  const rows = [...DIFFERENCES, ...FAMILY_DIFFERENCES].map(({ rule, why, of, byChance }) => [
    rule,
    cell(why) + (of === undefined ? "" : ` (${of} alone)`) +
    (byChance === true ? " (in some runs)" : ""),
  ]);
  return `## Differences from bridge + host-local

${
    INPUTS.length + FAMILY_INPUTS.length
  } inputs go to both plugins; the test compares answers, kernel and leases after each step.
The reference plugins are version 1.1.1 of Debian 13, or 1.9.1 of its next release (\`tests/userlands/run forky\`). The
test fails for a difference that the table lacks, and for a row of the table that no input shows.

${table(["rule", "difference"], rows)}
`;
}

function libcni(): string {
  const rows = LIBCNI_CHECKS.map(({ rules, what }) => [rules, cell(what)]);
  return `## Through libcni and go-cni

A Go program built against Debian's packages makes these calls. Debian's libcni has no GC and no STATUS, so the program sends both as the newest libcni does.

${table(["rules", "check"], rows)}
`;
}

function fuzz(): string {
  return `## Mutated inputs

Each run of \`make conformance\` gives ${AMOUNTS.full} mutated inputs to the program on a private host; it prints the
seed, and \`SEED=N\` repeats it. Each run of the program has to end
with exit status 0 or 1, one JSON document or none, a known code, and no stack trace. A failed ADD has to leave nothing,
and after an ADD, a DEL of the same input has to remove everything.
`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** Escapes text for a cell of a Markdown table. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ").replaceAll("<", "&lt;");
}

await printPage([conformancePage()]);
