/**
 * report.ts FILE... <OUTPUT: one page of Markdown from the output of audit.ts for these files, for the person who
 * has to approve the program.
 */
import manifest from "../../deno.json" with { type: "json" };

async function sha256(path: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function said(command: string, ...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args }).output();
  return new TextDecoder().decode(stdout).trim();
}

/** Markdown must not read a part of a path as emphasis. */
function escaped(text: string): string {
  return text.replaceAll(/[\\*_<>|]/g, "\\$&");
}

/** A heading for each line that ends in a colon, an item for each indented line. */
export function bodyOf(output: string): string {
  const lines = output.split("\n").filter((line) => line !== "").map((line) => {
    if (line.startsWith("  ")) return `- ${escaped(line.trim())}`;
    if (line.endsWith(":")) return `\n## ${escaped(line.slice(0, -1))}\n`;
    return `\n**${escaped(line)}**`;
  });
  return lines.join("\n").trim();
}

if (import.meta.main) {
  const output = await new Response(Deno.stdin.readable).text();
  const files = await Promise.all(
    Deno.args.map(async (file) =>
      `| ${escaped(file)} | ${(await Deno.stat(file)).size} | \`${await sha256(file)}\` |`
    ),
  );
  const verdict = /DIFFERENCE|not as declared/.test(output)
    ? "The files do **not** match their declaration; the differences are below."
    : "Each file does what it declares, and nothing else.";
  const page = [
    `# AtomicNI ${manifest.version}: scope report`,
    `Written by \`make audit\` on ${new Date().toISOString().slice(0, 10)}, commit ${await said(
      "git",
      "describe",
      "--always",
      "--dirty",
    )}, ${await said("uname", "-srm")}, ${await said("ip", "-V")}. ${verdict}`,
    ["| file | bytes | SHA-256 |", "| --- | --- | --- |", ...files].join("\n"),
    bodyOf(output),
    "",
  ].join("\n\n");
  await Deno.stdout.write(new TextEncoder().encode(page));
}
