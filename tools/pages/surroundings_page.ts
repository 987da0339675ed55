/** Prints docs/evidence/hostile-surroundings.md, made of the rows that tests/audit/surroundings_test.ts runs. */
import { SURROUNDINGS } from "../../tests/audit/surroundings.ts";

/** The page as it has to stand in docs/evidence/hostile-surroundings.md. */
export function surroundingsPage(): string {
  return [
    "# Hostile surroundings",
    "<!-- Made of tests/audit/surroundings.ts by tools/pages/docs; a test compares the two. -->",
    "Each row is a test (tests/audit/surroundings_test.ts): an ADD in these surroundings, in both build forms, on a " +
    "private host. In every one, besides what the table says: it ends, nothing is written outside of the state " +
    "folder, ip gets an empty environment, no control character reaches stdout or stderr, and where it fails no " +
    "veth and no lease stays.",
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
