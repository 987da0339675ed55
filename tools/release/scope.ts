/** scope.ts FILE...: the report of tools/release/scope. */
import manifest from "../../deno.json" with { type: "json" };
import { scopeLines, scopeOf } from "../../tests/audit/scope.ts";

const { read, write, run, env } = manifest.permissions.plugin;
const declared = JSON.stringify({ read, write, run, env, more: [], asks: false });
let status = 0;

for (const file of Deno.args) {
  const scope = scopeOf(file);
  const { read, write, run, env, more, asks } = scope;
  const agrees = JSON.stringify({ read, write, run, env, more, asks }) === declared;
  if (!agrees) status = 1;
  const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(file));
  const lines = [
    `Permissions of ${file.replace(/.*\//, "")}, read from the file:`,
    ...scopeLines(scope).map((line) => `  ${line}`),
    `sha256 ${
      Array.from(new Uint8Array(digest), (it) => it.toString(16).padStart(2, "0")).join("")
    }`,
    agrees ? "as deno.json declares" : "NOT as deno.json declares",
  ];
  await Deno.stdout.write(new TextEncoder().encode(`${lines.join("\n")}\n`));
}
Deno.exit(status);
