import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";

const ROOT = fromFileUrl(new URL("../", import.meta.url));
const PLACES = [
  "main.ts",
  "lib",
  "tests",
  "tools",
  "bench",
  "deploy",
  "docs",
  "Makefile",
  ".github",
  ".ci",
];
/** Each run writes these pages from strings of its tests, which are checked there. */
const WRITTEN_BY_RUNS = /^bench\/results\.md$/;
const TEXT = /\.(?:ts|md|sh|py|ya?ml)$|\/[^.]+$|^Makefile$/;

/** Phrases that a reader has to read twice: the pattern, what to write instead, and an example that it finds. */
const PHRASES: readonly [pattern: RegExp, instead: string, example: string][] = [
  [/\banew\b/i, "again; from scratch", "The state is made anew."],
  [/\bmeanwhile\b/i, "concurrently; during …", "Another ADD runs meanwhile."],
  [/\bbeside\b/i, "with; next to; besides", "A veth beside the bridge."],
  [
    /\b(?:stands?|stood|standing)\b(?!-| for| in for| alone)/i,
    "exists; is",
    "The bridge stands.",
  ],
  [/\bt(?:ak(?:e|es|en|ing)|ook) (?:\w+ ){0,3}back\b/i, "roll back; reclaim", "It takes it back."],
  [/\bat work\b|\bin (?:its|their) middle\b/i, "in progress", "An ADD is at work."],
  [/\b(?:leaves?|left) (?:no )?word\b/i, "record", "The holder left no word."],
  [/\bnobody's\b|\bof nobody\b/i, "without an owner", "A veth of nobody."],
  [
    /(?<!there )\b(?:is|are|was|were) (?:no (?!longer|more|less)|none\b)/i,
    "is not a",
    "It is no folder.",
  ],
  [
    /, for (?:it|they|these|those|nobody|their|Deno|V8|(?:an?|the|one|to)(?: [\w`-]+){1,4} (?:is|are|can|may|knows|hides|takes|waits))\b/i,
    "because",
    "Not read, for it is large.",
  ],
  [
    /(?:^|[.;:] )who(?:ever|se)?\b(?![^.;]*\?)/i,
    "name the actor",
    "Whoever asks gets an address.",
  ],
  [
    /\b(?:of|for|by|to|from|than|and|with) who(?:ever)?\b/i,
    "name the actor",
    "The name of who has it.",
  ],
  [
    /(?:^|[.;:] )what (?:is|was|has|had|can|could|gives|came|goes|stands|leaves|lies|would|became|differs)\b(?![^.;]*\?)/i,
    "name the thing",
    "What is held stays held.",
  ],
  [/\bwhose (?:it|they|each|its|MAC)\b/i, "the owner of", "It says whose it is."],
  [
    /(?:`undefined`|\bempty|\bnone|\bsuccess|\bnothing|\bthrows(?: \w+)?|\w+Failure|StateDamaged|BridgeUnusable|InvalidNetNS) where\b/i,
    "if",
    "Empty where it failed.",
  ],
  [/\b(?:is|are|was|be) (?:not )?told\b(?! (?:to|from))/i, "is reported", "The error is told."],
  [
    /\bbehind (?:[`"]|the command|a command|each command|its (?:own )?(?:keyword|details)|what)/i,
    "after",
    "The words behind the command.",
  ],
  [
    /(?<!'[^']*)\b\w+(?:'s|s')(?=[.,;:)](?:\s|$)|$)/i,
    "repeat the noun",
    "The MAC is the container's.",
  ],
  [/\bthat there (?:is|are)\b/i, "that exists", "A lease that there is."],
  [/\baddress(?:es)? (?:\w+ ){0,4}(?:given|gave|gives)\b/i, "allocated", "The address was given."],
  [/\bspeaks?\b/i, "send frames; impersonate", "No port speaks for it."],
  [/\blooked into\b/i, "inspected", "The veth is looked into."],
  [/\basked for\b/i, "requested", "The MAC asked for."],
  [/\bmend(?:s|ed|ing)?\b|\bborn\b/i, "fix; created", "The ADD mends it."],
  [/\bsuch a one\b/i, "repeat the noun", "It got such a one."],
  [/\ball the same\b/i, "still", "It works all the same."],
  [/\bbut for\b/i, "except", "All but for one."],
  [/\bany more\b/i, "any longer", "It does not exist any more."],
  [/\breference pair\b/i, "reference plugins", "The reference pair is faster."],
];

/** Lines that keep such a phrase, each with its reason. */
const ALLOWED: readonly [file: string, text: string, reason: string][] = [];

interface Passage {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

function filesBelow(path: string): string[] {
  if (!Deno.statSync(ROOT + path).isDirectory) return [path];
  return [...Deno.readDirSync(ROOT + path)].flatMap(({ name, isDirectory }) => {
    const below = `${path}/${name}`;
    return isDirectory ? filesBelow(below) : TEXT.test(below) ? [below] : [];
  });
}

const AT_TOP = [...Deno.readDirSync(ROOT)].map(({ name }) => name).filter((it) => /\.md$/.test(it));
const FILES = [...PLACES.flatMap(filesBelow), ...AT_TOP].filter((file) =>
  !WRITTEN_BY_RUNS.test(file) && file !== "tests/english_test.ts"
);

/** Comments, strings, templates and (to skip them) regular expressions of TypeScript. */
const TOKEN =
  /(?<=^|\s)\/\/ ?(.*(?:\n\s*\/\/.*)*)|\/\*([^]*?)\*\/|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\$]|\\[^]|\$(?!\{)|\$\{(?:[^{}`]|`[^`]*`|\{[^{}]*\})*\})*)`|(?<=[(,=:[!&|?]\s*)\/(?![*/])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/gm;
/** A comment of other files, over all its lines, a docstring of Python, or a string. */
const HASH = /(?:^|[ \t])#+ ?(.*(?:\n[ \t]*#.*)*)|"""([^]*?)"""|"((?:[^"\\\n]|\\.)*)"/gm;

/** The paragraphs of a text for a reader, each on one line. */
function passagesOf(file: string): Passage[] {
  const text = Deno.readTextFileSync(ROOT + file);
  if (file.endsWith(".md")) return paragraphs(file, 1, withoutCode(text));
  return [...text.matchAll(file.endsWith(".ts") ? TOKEN : HASH)].flatMap((match) => {
    const line = text.slice(0, match.index).split("\n").length;
    const said = match.slice(1).find((it) => it !== undefined) ?? "";
    return paragraphs(file, line, said.replaceAll(/^[ \t]*(?:\*|\/\/|#+) ?/gm, ""));
  });
}

/** Replaces fenced blocks by as many empty lines, and the text of code spans by one letter. */
function withoutCode(text: string): string {
  return text
    .replaceAll(/^ *```[^]*?^ *```$/gm, (block) => "\n".repeat(block.split("\n").length - 1))
    .replaceAll(/`[^`]*`/g, (span) => "`x`" + "\n".repeat(span.split("\n").length - 1));
}

/** Splits at empty lines, list items and cells of tables. */
function paragraphs(file: string, first: number, text: string): Passage[] {
  const found: Passage[] = [];
  let line = first;
  for (const part of text.split(/(\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.) )|\|)/)) {
    const words = part.replaceAll(/\s+/g, " ").trim();
    if (words.split(" ").length > 2) found.push({ file, line, text: words });
    line += part.split("\n").length - 1;
  }
  return found;
}

const PASSAGES = FILES.flatMap(passagesOf);

Deno.test("English: each pattern finds its example", () => {
  for (const [pattern, instead, example] of PHRASES) {
    assert(pattern.test(example), `${pattern} does not find "${example}" (${instead})`);
  }
});

Deno.test("English: comments, strings, shell scripts and pages are read", () => {
  const rows = [
    ["tests/figures_test.ts", "The cells of the first table after"],
    ["tests/figures_test.ts", "README: the figures on its first screen are those of"],
    [".ci/run", "Waits for every worker"],
    ["CONTRIBUTING.md", "Tests build their own hosts from namespaces."],
  ] as const;
  for (const [file, text] of rows) {
    assert(PASSAGES.some((it) => it.file === file && it.text.includes(text)), `${file}: ${text}`);
  }
  assert(PASSAGES.length > 10_000, `only ${PASSAGES.length}`);
});

Deno.test("English: no comment, string or page has a phrase that has to be read twice", () => {
  const allowed = new Set<string>();
  const found = PASSAGES.flatMap(({ file, line, text }) =>
    PHRASES.flatMap(([pattern, instead]) => {
      const match = pattern.exec(text);
      if (match === null) return [];
      const exception = ALLOWED.find(([in_, part]) => file.startsWith(in_) && text.includes(part));
      if (exception !== undefined) allowed.add(exception[1]);
      const around = text.slice(Math.max(0, match.index - 40), match.index + 60);
      return exception === undefined ? [`${file}:${line}: …${around}… (${instead})`] : [];
    })
  );
  assertEquals(found, []);
  assertEquals(ALLOWED.map(([, part]) => part).filter((it) => !allowed.has(it)), []);
});
