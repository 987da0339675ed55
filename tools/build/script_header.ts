/**
 * Prints the first lines of the script form: a shell line that JavaScript reads as a string and a comment. It starts
 * the Deno given as argument with the permissions of deno.json and only the declared variables, so nothing else in a
 * runtime's environment reaches Deno. Deno's caches of this file (its imports, compiled code) are in the state folder
 * if only root can write to it; otherwise there is no cache.
 */
import manifest from "../../deno.json" with { type: "json" };

const { read, write, run, env } = manifest.permissions.plugin;
const flags = [
  ...[
    "--no-prompt",
    "--no-config",
    "--no-lock",
    "--no-remote",
    "--no-npm",
    "--cached-only",
    // Functions are compiled when the code cache is written, not one by one in each run. A run allocates less than the
    // 16 MB for new objects, so nothing is collected. No run is long enough for optimized code to pay off, and a pattern
    // is compiled only if many leases are read. All times are UTC, so the host's time zone is not needed.
    "--v8-flags=--no-lazy,--min-semi-space-size=16,--max-opt=0,--regexp-tier-up-ticks=50,--no-icu-timezone-data",
  ],
  ...[`--allow-read=${read}`, `--allow-write=${write}`, `--allow-run=${run}`, `--allow-env=${env}`],
];
const variables = [
  "DENO_DIR=$d",
  // After a second, a run would look for a newer version on Deno's host.
  "DENO_NO_UPDATE_CHECK=1",
  // One heap for all threads, which grows by 4 MB instead of 128 KB: fewer system calls.
  "GLIBC_TUNABLES=glibc.malloc.arena_max=1:glibc.malloc.top_pad=4194304",
  // Without it Deno looks for the user in /etc/passwd, and for .npmrc in that home.
  "HOME=$h",
  // A runtime gets no colours on stderr, whatever its environment has.
  'NO_COLOR="${CNI_COMMAND:+1}$NO_COLOR"',
  ...env.map((name) => `${name}="$${name}"`),
];
const command = [
  "exec /usr/bin/env -i",
  ...variables,
  '"$n" run -q',
  ...flags,
  '"$0" "$@"',
].join(" ");
/**
 * Deno would not start in a deleted working directory. The cache is used only if root owns the state folder and the
 * cache's folder and nobody else can write to them; a new cache folder is private.
 */
const OWN = "41c0:0"; // mode and owner of a folder that is root's alone, as stat prints them
/** A folder in which only root can write; 0.1.0 created its cache with mode 755. */
const READABLE = "41[ce][0d]:0";
/** The first part of the path to Deno, as `namei` prints it, that root does not own or that others can write to. */
const OPEN_PATH = `namei -om "$n" 2>/dev/null | grep -Evm1 '^(f:| *(l.{9}|.{5}-..-.)[.+@]? root )'`;
const prepare = [
  // `tools/install` and others find and replace it by its position.
  `n="${Deno.args[0]}"`,
  "case $0 in /*) cd /;; esac",
  `s=${write} d=/dev/null/none h=/`,
  // The runtime's PATH must not decide what root runs; its locale would make stat and env read a dozen files each.
  "export LC_ALL=C PATH=/usr/bin:/bin",
  "m=$(stat -c %f:%u $s $s/.deno 2>/dev/null)",
  `case $m in ${OWN}?${READABLE}) d=$s/.deno;; ${OWN}) mkdir -m 700 $s/.deno 2>/dev/null && d=$s/.deno;; esac`,
  '[ "$d" = /dev/null/none ] || h=$d',
  // Deno itself has no permission to read it.
  `case $1 in doctor) o=$(${OPEN_PATH}) && set -- "$@" --open-path "$o";; esac`,
].join("; ");
const text = `#!/bin/sh\n":" //; ${prepare}; ${command}\n`;
await Deno.stdout.write(new TextEncoder().encode(text));
