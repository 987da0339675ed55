/**
 * Prints the first lines of the script form: a shell line that JavaScript takes for a string and a comment. It
 * starts the Deno given as argument with the permissions of deno.json and with the declared variables alone, so
 * that nothing else in a runtime's environment reaches Deno. Nothing is written: DENO_DIR can't be made.
 */
import manifest from "../deno.json" with { type: "json" };

const { read, write, run, env } = manifest.permissions.plugin;
const flags = [
  ...[
    "--no-prompt",
    "--no-config",
    "--no-lock",
    "--no-remote",
    "--no-npm",
    "--cached-only",
    "--no-code-cache",
  ],
  ...[`--allow-read=${read}`, `--allow-write=${write}`, `--allow-run=${run}`, `--allow-env=${env}`],
];
const variables = [
  "DENO_DIR=/dev/null/none",
  "NO_COLOR=1",
  ...env.map((name) => `${name}="$${name}"`),
];
const command = [
  "exec /usr/bin/env -i",
  ...variables,
  `"${Deno.args[0]}" run -q`,
  ...flags,
  '"$0" "$@"',
].join(" ");
// A working directory that is gone would keep Deno from starting.
const text = `#!/bin/sh\n":" //; case $0 in /*) cd /;; esac; ${command}\n`;
await Deno.stdout.write(new TextEncoder().encode(text));
