import { assertEquals } from "@std/assert";
import { dirname, fromFileUrl, normalize } from "@std/path/posix";

const ROOT = fromFileUrl(new URL("../", import.meta.url));

/** From top to bottom; a module may import those below its own line. */
const LAYERS = [
  ["main"],
  ["cli"],
  ["plugin"],
  ["ownership"],
  ["config"],
  ["netops", "ipam"],
  ["result", "rollback"],
  ["base"],
];

interface Import {
  readonly from: string;
  readonly file: string;
  readonly names: readonly string[];
}

const SOURCES = new Map(
  ["main.ts", ...["lib", "tests", "tools", "bench"].flatMap((part) => sourcesIn(part))].map((
    file,
  ) => [file, Deno.readTextFileSync(ROOT + file)] as const),
);

function sourcesIn(folder: string): string[] {
  return [...Deno.readDirSync(ROOT + folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return sourcesIn(path);
    return name.endsWith(".ts") ? [path] : [];
  });
}

const IMPORTS = [...SOURCES].flatMap(([from, text]) => statements(text, "import", from));

/** `import` or `export` statements with a relative source, with the names between their braces. */
function statements(text: string, keyword: string, from: string): Import[] {
  const pattern = new RegExp(`^${keyword} (?:type )?\\{([^}]*)\\}(?: from "(\\.[^"]*)")?;`, "gm");
  return [...text.matchAll(pattern)].map(([, names = "", source]) => ({
    from,
    file: source === undefined ? from : normalize(`${dirname(from)}/${source}`),
    names: names.split(",").map((it) => it.replace(/^\s*(type )?/, "").replace(/ as .*/, "").trim())
      .filter((it) => it !== ""),
  }));
}

/** `lib/netops/veth.ts` and `lib/netops.ts` → `netops`. */
function moduleOf(file: string): string {
  return /^(?:lib\/)?(\w+)/.exec(file)?.[1] ?? "";
}

function layerOf(file: string): number {
  return LAYERS.findIndex((modules) => modules.includes(moduleOf(file)));
}

Deno.test("outside code imports only a module's public file, and only from modules below", () => {
  const program = IMPORTS.filter(({ from }) => from === "main.ts" || from.startsWith("lib/"));
  const wrong = program.filter(({ from, file }) => moduleOf(from) !== moduleOf(file)).filter(
    (it) => {
      const isPublic = moduleOf(it.file) === "base" || it.file === `lib/${moduleOf(it.file)}.ts`;
      return !isPublic || layerOf(it.from) >= layerOf(it.file);
    },
  );
  assertEquals(wrong.map(({ from, file }) => `${from} imports ${file}`), []);
});

Deno.test("each name that a module's public file re-exports is imported outside of the module", () => {
  const unused = LAYERS.flat().map((module) => `lib/${module}.ts`).flatMap((file) => {
    const used = new Set(
      IMPORTS.filter((it) => it.file === file && moduleOf(it.from) !== moduleOf(file))
        .flatMap(({ names }) => names),
    );
    return statements(SOURCES.get(file) ?? "", "export", file).flatMap(({ names }) => names)
      .filter((name) => !used.has(name)).map((name) => `${file}: ${name}`);
  });
  assertEquals(unused, []);
});

/** Names that have the same meaning in each file: parts of an operator command, limits, the two commands called status. */
const REPEATED = ["EXAMPLE", "SAMPLE", "TONES", "TRIES", "report", "reportOf", "status", "tableOf"];

Deno.test("a name that a file of the program declares means one thing", () => {
  const files = new Map<string, string[]>();
  for (const [file, text] of SOURCES) {
    if (file !== "main.ts" && !file.startsWith("lib/")) continue;
    for (const [, name = ""] of text.matchAll(DECLARATION)) {
      files.set(name, [...files.get(name) ?? [], file]);
    }
  }
  const several = [...files].filter(([, all]) => all.length > 1);
  assertEquals(several.map(([name]) => name).sort(), REPEATED, JSON.stringify(several, null, 2));
});

const DECLARATION =
  /^(?:export )?(?:async )?(?:function\*?|const|let|class|interface|type) (\w+)/gm;

Deno.test("no file imports itself through others, not even a type", () => {
  const next = (file: string) => IMPORTS.filter(({ from }) => from === file).map((it) => it.file);
  const reached = (file: string, seen = new Set<string>()): ReadonlySet<string> => {
    const more = next(file).filter((it) => it.startsWith("lib/") && !seen.has(it));
    more.forEach((it) => seen.add(it));
    more.forEach((it) => reached(it, seen));
    return seen;
  };
  const program = [...SOURCES.keys()].filter((it) => it === "main.ts" || it.startsWith("lib/"));
  assertEquals(program.filter((it) => reached(it).has(it)), []);
});
