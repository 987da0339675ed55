/** Prints build/evidence/hostile-surroundings.md from the rows that tests/audit/surroundings_test.ts runs. */
import { printPage } from "../outcomes.ts";
import { SURROUNDINGS } from "./surroundings.ts";

/** The content of build/evidence/hostile-surroundings.md. */
function surroundingsPage(): string {
  return [
    "# Hostile surroundings",
    "<!-- tests/audit/run makes this page from tests/audit/surroundings.ts. -->",
    "Each row is a test (tests/audit/surroundings_test.ts): an ADD in these surroundings, in both build forms, on a " +
    "private host. Besides the outcome in the table, each test checks five things. The ADD ends. It writes nothing " +
    "outside of the state folder. It gives ip an empty environment. No control character reaches stdout or stderr. " +
    "A failed ADD leaves no veth and no lease.",
    [
      "| surroundings | what happens |",
      "| --- | --- |",
      ...SURROUNDINGS.map(({ name, happens }) => `| ${cell(name)} | ${cell(happens)} |`),
    ].join("\n"),
    "",
  ].join("\n\n").trimEnd() + "\n";
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("*", "\\*").replaceAll("_", "\\_");
}

await printPage([surroundingsPage()]);
