import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";

const ROOT = fromFileUrl(new URL("../", import.meta.url));
const RESULTS = Deno.readTextFileSync(`${ROOT}bench/results.md`);
const README = Deno.readTextFileSync(`${ROOT}README.md`);
const FORMS = ["script form", "compiled form", "bridge + host-local"];

type Table = readonly (readonly string[])[];

/** The cells of the first table after `heading`, its heading first. */
function table(text: string, heading: string): Table {
  const start = text.indexOf(heading);
  assert(start >= 0, `no "${heading}"`);
  const lines = text.slice(start + heading.length).split("\n");
  const first = lines.findIndex((line) => line.startsWith("|"));
  const rest = lines.slice(first);
  return rest.slice(0, rest.findIndex((line) => !line.startsWith("|"))).map((line) =>
    line.split("|").slice(1, -1).map((it) => it.trim())
  );
}

/** One cell of a table, by the beginnings of its row and its column. */
function cell(of: Table, row: string, column: string): string {
  const at = of[0]?.findIndex((name) => name.startsWith(column)) ?? -1;
  const found = of.find(([name]) => name === row)?.[at];
  assert(found !== undefined, `no "${row}", "${column}"`);
  return found;
}

/** "30.3 (34.2), 3.63×" as README shows it; for the reference only the time. */
function time(text: string): string {
  const [, ms, ratio] = /^([\d.]+) \([\d.]+\), ([\d.]+)×$/.exec(text) ?? [];
  return ratio === "1.00" ? `${ms} ms` : `${ms} ms, ${ratio}×`;
}

Deno.test("README: the figures on its first screen are those of bench/results.md", () => {
  const adds = table(RESULTS, "### ADD:");
  const footprint = table(RESULTS, "## Footprint of an ADD");
  const disk = FORMS.map((form) => `${cell(footprint, form, "size on disk")} MB`);
  assertEquals(table(README, "## Why, and why not").slice(2), [
    ...["1", "1,000", "10,000"].map((held) => [
      `with ${held}${held === "1" ? " lease" : ""} held`,
      ...FORMS.map((form) => time(cell(adds, form, `${held} held`))),
    ]),
    [
      "peak resident memory",
      ...FORMS.map((form) => `${cell(footprint, form, "peak resident")} MB`),
    ],
    ["the program on disk", `${disk[0]} and a Deno`, disk[1] ?? "", disk[2] ?? ""],
  ]);
});

Deno.test("README: it has no time or ratio outside that table", () => {
  const [, after = ""] = README.split("## Two commands");
  // The one exception is a comparison of the reference with itself.
  const said = after.replace(/0\.9 to 1\.1\s+times\s+as\s+long\s+as\s+that\s+of\s+1\.1\.1/, "");
  assertEquals(said.match(/\d[\d.]*×|times as long|\d ms\b/g), null);
});

Deno.test("README: the first part comes before anything else, and fits two screens", () => {
  const screen = README.slice(0, README.indexOf("## Two commands")).split("\n");
  assert(screen.includes("## Why, and why not"));
  assert(screen.length <= 48, `${screen.length} lines`);
});
