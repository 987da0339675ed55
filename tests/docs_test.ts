import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { PROGRAM, run } from "./integration/host.ts";
import { topology } from "../tools/pages/topology.ts";

const ROOT = fromFileUrl(new URL("../", import.meta.url));
const MOST_WORDS = 900;
/** Pages that are generated from source or from a run. */
const GENERATED = ["docs/errors.md"];

interface Block {
  readonly page: string;
  readonly language: string;
  readonly text: string;
}

interface Page {
  readonly path: string;
  readonly text: string;
  /** The text without fenced blocks. */
  readonly prose: string;
  readonly blocks: readonly Block[];
}

function pathsBelow(folder: string): string[] {
  return [...Deno.readDirSync(`${ROOT}${folder}`)].flatMap(({ name, isDirectory }) => {
    const path = folder === "" ? name : `${folder}/${name}`;
    return isDirectory ? pathsBelow(path) : name.endsWith(".md") ? [path] : [];
  });
}

function readPage(path: string): Page {
  const text = Deno.readTextFileSync(`${ROOT}${path}`);
  const fence = /^( *)```(\w*)\n([\s\S]*?)^ *```$/gm;
  const blocks = [...text.matchAll(fence)].map(([, , language = "", text = ""]) => ({
    page: path,
    language,
    text,
  }));
  return { path, text, prose: text.replaceAll(fence, ""), blocks };
}

const AT_TOP = ["README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md", "bench/results.md"];
const PAGES = [...AT_TOP, ...pathsBelow("docs")].map(readPage);
const BLOCKS = PAGES.flatMap(({ blocks }) => blocks);

/** The anchor that a forge derives from a heading. */
function slug(heading: string): string {
  const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
  return text.replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").trim().replaceAll(" ", "-");
}

function anchorsOf(page: Page): Set<string> {
  return new Set([...page.prose.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => slug(heading)));
}

Deno.test("every link of every page leads somewhere, to its heading too", () => {
  const broken: string[] = [];
  let links = 0;
  for (const page of PAGES) {
    for (const [, target = ""] of page.prose.matchAll(/\]\(([^()\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      links++;
      const [file = "", anchor] = target.split("#");
      const path = file === ""
        ? page.path
        : new URL(file, `file:///${page.path}`).pathname.slice(1);
      const at = PAGES.find((it) => it.path === path);
      const isThere = at !== undefined || exists(path);
      if (!isThere || (anchor !== undefined && !(at && anchorsOf(at).has(anchor)))) {
        broken.push(`${page.path}: ${target}`);
      }
    }
  }
  assertEquals(broken, []);
  assert(links > 60, `only ${links} links found`);
});

function exists(path: string): boolean {
  try {
    Deno.statSync(`${ROOT}${path}`);
    return true;
  } catch {
    return false;
  }
}

Deno.test("a page for people is short, and another page links to it", () => {
  const long = PAGES.filter(({ path }) =>
    path.startsWith("docs/") && !GENERATED.some((it) => path.startsWith(it))
  ).map(({ path, prose }) => [path, prose.split(/\s+/).length] as const).filter(([, words]) =>
    words >= MOST_WORDS
  );
  assertEquals(long, []);
  const lonely = PAGES.filter(({ path }) =>
    path !== "README.md" &&
    !PAGES.some((it) => it.path !== path && it.prose.includes(path.split("/").at(-1) ?? ""))
  );
  assertEquals(lonely.map(({ path }) => path), []);
});

Deno.test("every block is in the language that it declares", async () => {
  const wrong: string[] = [];
  for (const { page, language, text } of BLOCKS) {
    if (language === "sh") {
      const { code, stderr } = await run(["sh", "-n"], text);
      if (code !== 0) wrong.push(`${page}: ${stderr}${text}`);
    }
    if (language === "json" && !isJson(text)) wrong.push(`${page}: ${text}`);
  }
  assertEquals(wrong, []);
  assert(BLOCKS.length > 40, `only ${BLOCKS.length} blocks found`);
});

/** A document, or a part of one. */
function isJson(text: string): boolean {
  for (const whole of [text, `{${text}}`]) {
    try {
      JSON.parse(whole);
      return true;
    } catch {
      // The other form may fit.
    }
  }
  return false;
}

/** Text in backquotes or in a block: text that a reader would type. */
function code({ prose, blocks }: Page): string {
  const inline = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, text = ""]) => text);
  return [...inline, ...blocks.map(({ text }) => text)].join("\n");
}

Deno.test("every command, make target and file that a page names exists", async () => {
  const { stdout } = await run([...PROGRAM, "help", "--json"]);
  const commands: string[] = JSON.parse(stdout).map(({ name }: { name: string }) => name);
  const makefile = Deno.readTextFileSync(`${ROOT}Makefile`);
  const targets = [...makefile.matchAll(/^([a-z][a-z0-9-]*):/gm)].map(([, name = ""]) => name);
  const suites = [...Deno.readDirSync(`${ROOT}tests`)].map(({ name }) => name)
    .filter((name) => exists(`tests/${name}/run`));
  const missing: string[] = [];
  // A recipe names files that do not exist yet.
  const checked = PAGES.filter(({ path }) => path !== "docs/changing.md");
  for (const page of checked) {
    const text = code(page);
    for (const [, word = ""] of text.matchAll(/(?:^|[`;|&(] ?|# )atomicni ([a-z][a-z-]+)/gm)) {
      if (![...commands, "help"].includes(word)) missing.push(`${page.path}: atomicni ${word}`);
    }
    for (const [, word = ""] of text.matchAll(/^(?:\$ |# )?make (?:-\w+ )*([a-z][a-z0-9-]*)/gm)) {
      if (![...targets, ...suites].includes(word)) missing.push(`${page.path}: make ${word}`);
    }
    for (
      const [path] of text.matchAll(/(?<![\w/.-])(deploy|tools|tests|docs|bench)\/[\w/.@-]*[\w]/g)
    ) {
      if (!exists(path)) missing.push(`${page.path}: ${path}`);
    }
  }
  assertEquals(missing, []);
  const readme = PAGES[0]?.text ?? "";
  assertEquals(commands.filter((it) => !readme.includes(`\`atomicni ${it}`)), []);
});

/** The heading that each block of a page is under, with the block's language where one section has several. */
function sectionsOf({ text }: Page): string[] {
  const found: { heading: string; language: string }[] = [];
  let heading = "";
  let isCode = false;
  for (const line of text.split("\n")) {
    const fence = /^ *```(\w*)/.exec(line);
    if (fence !== null && !isCode) found.push({ heading, language: fence[1] ?? "" });
    if (fence !== null) isCode = !isCode;
    else if (!isCode) heading = /^##+ (.*)$/.exec(line)?.[1] ?? heading;
  }
  return [
    ...new Set(found.map((it) => {
      const all = found.filter((other) => other.heading === it.heading);
      const isMixed = all.some(({ language }) => language !== it.language);
      return isMixed && it.language !== "" ? `${it.heading} (${it.language})` : it.heading;
    })),
  ];
}

Deno.test("every block is run, compared, or listed as not run with the reason", () => {
  const page = PAGES.find(({ path }) => path === "docs/blocks.md");
  const rows = (page?.text ?? "").split("\n").filter((line) => /^\| (README|docs)/.test(line)).map(
    (line) => {
      const [path = "", sections = "", how = ""] = line.split("|").slice(1).map((it) => it.trim());
      return { path, sections, how };
    },
  );
  const shown = PAGES.filter(({ path }) => path === "README.md" || /^docs\/[\w-]+\.md$/.test(path));
  const missing: string[] = [];
  for (const page of shown) {
    const own = rows.filter(({ path }) => path === page.path);
    for (const section of sectionsOf(page)) {
      const names = own.flatMap(({ sections }) => sections.split(", "));
      const plain = section.replace(/ \(\w+\)$/, "");
      const isThere = names.some((it) => it === "all" || it === section || it === plain);
      if (!isThere) missing.push(`${page.path}: ${section}`);
    }
  }
  assertEquals(missing, [], "add a row to docs/blocks.md");
  for (const { path, how } of rows) {
    const test = /\]\(\.\.\/(.*?)\)/.exec(how)?.[1];
    if (test === undefined) assert(/^not run|^`tests/.test(how), `${path}: ${how}`);
    else {
      const source = Deno.readTextFileSync(`${ROOT}${test}`);
      const names = [path, path.split("/").at(-1) ?? path, "README and docs: each transcript"];
      assert(names.some((it) => source.includes(it)), `${test} does not name ${path}`);
    }
  }
  assert(rows.length > 20, `${rows.length} rows`);
});

/** Programs that no test runs completely: page and section, what the page says, and the test with what it does run. */
const PARTLY_RUN: readonly (readonly [
  page: string,
  section: string,
  says: readonly RegExp[],
  test: string,
  runs: string,
])[] = [
  [
    "docs/containerd.md",
    "CRI-O",
    [/tested with containerd only/, /are from CRI-O's documentation/],
    "tests/runtimes/deploy_test.ts",
    "10-crio-atomicni.conflist",
  ],
  [
    "docs/clusters.md",
    "flannel",
    [/flannel itself was not run: a test makes the calls of its CNI plugin/, /sources/],
    "tests/runtimes/docs_test.ts",
    "ip link add flannel.1",
  ],
  [
    "docs/clusters.md",
    "FRR",
    [/A test runs two nodes with this file and Debian's FRR, in both families/],
    "tests/runtimes/cluster_test.ts",
    "frr.conf",
  ],
  [
    "docs/clusters-bgp.md",
    "BGP",
    [/A test ran 32 nodes as namespaces of one machine/, /had 62 routes of the others/],
    "tests/kubernetes/bgp_test.ts",
    "KUBERNETES_BGP_NODES",
  ],
  [
    "docs/confinement.md",
    "AppArmor",
    [/A test runs `apparmor_parser` on both profiles/, /The profiles were never enforced/],
    "tests/confinement/apparmor_test.ts",
    "apparmor_parser",
  ],
];

Deno.test("pages on CRI-O, flannel, FRR and AppArmor say what a test ran, and what was only read", () => {
  for (const [path, section, says, test, runs] of PARTLY_RUN) {
    const page = PAGES.find((it) => it.path === path)?.prose ?? "";
    const [, text = ""] = page.split(new RegExp(`^## ${section}$`, "m"));
    const own = text.split(/^## /m)[0]?.replaceAll(/\s+/g, " ") ?? "";
    for (const sentence of says) assert(sentence.test(own), `${path}, ${section}: ${sentence}`);
    assert(Deno.readTextFileSync(`${ROOT}${test}`).includes(runs), `${test} has no ${runs}`);
  }
});

Deno.test("an excerpt of a file on a page agrees with the file", () => {
  const conflist = Deno.readTextFileSync(`${ROOT}deploy/10-atomicni.conflist`);
  assert(BLOCKS.some(({ page, text }) => page === "README.md" && text === conflist), "conflist");
  const { permissions } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
  const shown = BLOCKS.find(({ text }) => text.startsWith('"plugin": {'));
  assertEquals(JSON.parse(`{${shown?.text}}`).plugin, permissions.plugin);
});

Deno.test("the picture is the output of its script", async () => {
  const { stdout } = await run(
    [Deno.execPath(), "fmt", "-q", "--config", `${ROOT}deno.json`, "--ext", "svg", "-"],
    topology(),
  );
  assertEquals(Deno.readTextFileSync(`${ROOT}docs/topology.svg`), stdout, "run make docs");
});
