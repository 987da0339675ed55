/** Prints docs/evidence/hostile-surroundings.md from the rows that tests/audit/surroundings_test.ts runs. */
import { SURROUNDINGS } from "../../tests/audit/surroundings.ts";

/** The content of docs/evidence/hostile-surroundings.md. */
export function surroundingsPage(): string {
  return [
    "# Hostile surroundings",
    "<!-- tools/pages/docs makes this page from tests/audit/surroundings.ts; a test compares the two. -->",
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

if (import.meta.main) await Deno.stdout.write(new TextEncoder().encode(surroundingsPage()));
