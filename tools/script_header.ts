/**
 * Prints the first lines of the script form: a shell line that JavaScript takes for a string and a comment. It
 * starts the Deno given as argument with the permissions of deno.json and with the declared variables alone, so
 * that nothing else in a runtime's environment reaches Deno. Deno keeps what it knows of this file (what it imports,
 * compiled code) in the state folder, if that is a folder of root's own; else nowhere.
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
    // Functions are compiled when the code cache is written, not one by one in each run.
    "--v8-flags=--no-lazy",
  ],
  ...[`--allow-read=${read}`, `--allow-write=${write}`, `--allow-run=${run}`, `--allow-env=${env}`],
];
const variables = [
  "DENO_DIR=$d",
  // Without it Deno looks for the user in /etc/passwd, and for .npmrc in that home.
  "HOME=$h",
  // Or Deno asks a name server for its own host, in a thread of its own, to see whether there is a newer Deno.
  "DENO_NO_UPDATE_CHECK=1",
  // A runtime gets no colours on stderr, whatever it has set.
  'NO_COLOR="${CNI_COMMAND:+1}$NO_COLOR"',
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
const prepare =
  `case $0 in /*) cd /;; esac; s=${write}; d=/dev/null/none h=/; [ -d $s ] && [ -O $s ] && [ ! -L $s ] && d=$s/.deno h=$s/.deno`;
const text = `#!/bin/sh\n":" //; ${prepare}; ${command}\n`;
await Deno.stdout.write(new TextEncoder().encode(text));
