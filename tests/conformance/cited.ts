import { fromFileUrl } from "@std/path/posix";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** A rule that a comment of the program cites. */
export interface Citation {
  readonly rule: string;
  readonly file: string;
  readonly line: number;
}

/** "rule X9", "rules R3, S5", "rules X8 to X11" and "rules E6 and E7", as comments cite rules. */
const CITED = /\brules? ((?:[A-Z]\d+(?:, and |, | and | to )?)+)/gi;

/** Every rule that the comments of main.ts and lib/ cite, in the order of the files. */
export function citations(): Citation[] {
  return sources("").flatMap((file) => citedIn(file, Deno.readTextFileSync(`${ROOT}${file}`)));
}

/** The rules that one file's comments cite; "X8 to X11" means all four. */
export function citedIn(file: string, text: string): Citation[] {
  return comments(text).flatMap(({ line, words }) =>
    [...words.matchAll(CITED)].flatMap(([, list = ""]) =>
      ranges(list).map((rule) => ({ rule, file, line }))
    )
  );
}

/** Joins the lines of each comment, because a citation may continue on the next line. */
function comments(text: string): { line: number; words: string }[] {
  return [...text.matchAll(/\/\*[^]*?\*\/|(?:^|\s)\/\/.*(?:\n\s*\/\/.*)*/g)].map((match) => ({
    line: text.slice(0, match.index).split("\n").length,
    words: match[0].replaceAll(/\s*\n\s*(\*|\/\/)?\s*/g, " "),
  }));
}

function ranges(list: string): string[] {
  const found: string[] = [];
  for (const [, to, letter = "", digits = ""] of list.matchAll(/( to )?([A-Z])(\d+)/g)) {
    const last = Number(digits);
    const first = to === undefined ? last : Number(found.at(-1)?.slice(1)) + 1;
    for (let number = first; number <= last; number++) found.push(`${letter}${number}`);
  }
  return found;
}

function sources(folder: string): string[] {
  if (folder === "") return ["main.ts", ...sources("lib")];
  return [...Deno.readDirSync(`${ROOT}${folder}`)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return sources(path);
    return name.endsWith(".ts") ? [path] : [];
  }).toSorted();
}
