import { fromFileUrl } from "@std/path/posix";
import { COVERAGE } from "./coverage.ts";
import { ROWS } from "./rows.ts";

const FILE = fromFileUrl(new URL("../../docs/evidence/conformance.md", import.meta.url));
const SECTIONS = ["rules", "differences", "libcni", "fuzz"];
const HEAD = `<!-- deno-fmt-ignore-file -->

# Conformance to the CNI specification, 0.1.0 to 1.1.0

Written by the suites under \`tests/conformance/\`; do not edit by hand. The rules are those of
\`tests/conformance/rules.ts\`.
`;

/** Puts `text` in the place of the section of that name; the file is left alone where it has that text already. */
export async function writeSection(section: string, text: string): Promise<void> {
  let old: string;
  try {
    old = await Deno.readTextFile(FILE);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    old = "";
  }
  const bodies = SECTIONS.map((name) => {
    const body = new RegExp(`<!-- ${name} -->\\n([^]*?)<!-- /${name} -->`).exec(old)?.[1] ?? "";
    return `<!-- ${name} -->\n${
      name === section ? `${text.trimEnd()}\n` : body
    }<!-- /${name} -->\n`;
  });
  const whole = `${HEAD}\n${bodies.join("\n")}`;
  if (whole !== old) await Deno.writeTextFile(FILE, whole);
}

const NAMED = 3;

function listed(tests: readonly string[]): string {
  const more = tests.length - NAMED;
  return tests.slice(0, NAMED).map(cell).join("; ") + (more > 0 ? `; and ${more} more` : "");
}

/** Text that a cell of a Markdown table can hold. */
export function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ").replaceAll("<", "&lt;");
}

/** The section with every rule, its tests and how they came out. */
export function rulesSection(failed: ReadonlySet<string>): string {
  const lines = COVERAGE.map(({ rule: { id, says, notForUs }, rows, others }) => {
    const bad = rows.filter((what) => failed.has(what));
    const outcome = notForUs !== undefined
      ? `not for us: ${notForUs}`
      : bad.length > 0
      ? `**fails**: ${listed(bad)}`
      : "passes";
    return `| ${id} | ${cell(says)} | ${listed([...rows, ...others])} | ${outcome} |`;
  });
  const count = (start: string) => lines.filter((line) => line.includes(`| ${start}`)).length;
  return `## Rules

${lines.length} rules, ${ROWS.length} rows in the table; ${count("passes")} rules pass, ${
    count("**fails")
  } fail, ${count("not for us")} are not for this plugin.

| rule | what it says | tests | outcome |
|---|---|---|---|
${lines.join("\n")}
`;
}
