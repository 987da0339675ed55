import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { render, type Table } from "../../../lib/cli/screen.ts";

const WIDE = { colour: false, width: undefined };
const TABLE: Table = {
  heading: ["NETWORK", "OWNER", "ADDRESS", "MAC", "SINCE", "STATE"],
  rows: [
    ["podnet", "default/web", "10.86.0.2, fd00:88::2", "0a:58:0a:56:00:02", "2026-01-01", "live"],
  ],
  spare: ["MAC", "SINCE", "NETWORK"],
};

Deno.test("a table omits the columns for which the screen is too narrow, and says so", () => {
  const rows: [number | undefined, string[]][] = [
    [undefined, []],
    [100, []],
    [80, ["MAC"]],
    [60, ["MAC", "SINCE"]],
    [45, ["MAC", "SINCE", "NETWORK"]],
  ];
  for (const [width, missing] of rows) {
    const lines = render([TABLE], { colour: false, width }).trimEnd().split("\n");
    for (const line of lines) assert(line.length <= (width ?? 200), `${width}: ${line}`);
    const left = TABLE.heading.filter((name) => !missing.includes(name));
    assertEquals((lines[0] ?? "").split(/ +/), left);
    assertEquals(lines.length, missing.length === 0 ? 2 : 3);
    if (missing.length > 0) {
      const omitted = TABLE.heading.filter((name) => missing.includes(name)).join(", ");
      assertEquals(lines[2], `without ${omitted}: --wide has all`);
    }
  }
});

Deno.test("lines wrap at blanks, and keep their indentation", () => {
  const text = `warning forwarding: ${"a word ".repeat(20)}`.trimEnd();
  const remedy = `        -> ${"sysctl -w net.ipv4.ip_forward=1 ".repeat(4)}`.trimEnd();
  for (const width of [60, 80, 100]) {
    const lines = render([text, remedy], { colour: false, width }).trimEnd().split("\n");
    for (const line of lines) assert(line.length <= width, `${width}: ${line}`);
    assertEquals(
      lines.join(" ").replaceAll(/\s+/g, " "),
      `${text} ${remedy}`.replaceAll(/\s+/g, " "),
    );
    const later = lines.slice(lines.findIndex((it) => it.includes("->")) + 1);
    for (const line of later) assertStringIncludes(line, " ".repeat(11));
  }
  assertEquals(render([text], WIDE), `${text}\n`);
});

Deno.test("tones become colours only if the screen has colours, and no other escape reaches a terminal", () => {
  const line = [{ text: "bad\x1b[2J", tone: "bad" as const }, " plain\nline"];
  assertEquals(render([line], WIDE), "bad\\u001b[2J plain\\nline\n");
  const painted = render([line], { colour: true, width: undefined });
  assertEquals(painted, "\x1b[31mbad\\u001b[2J\x1b[0m plain\\nline\n");
});
