/**
 * Prints the first lines of the script form: a shell line that JavaScript takes for a string and a comment. It
 * starts the Deno given as argument with the permissions of deno.json and with the declared variables alone, so
 * that nothing else in a runtime's environment reaches Deno. Deno keeps what it knows of this file (what it imports,
 * compiled code) in the state folder, if that is root's alone; else nowhere.
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
    // Functions are compiled when the code cache is written, not one by one in each run. Less is allocated than the 16 MB
    // that new objects get, so nothing is collected. No run is long enough for compiled code to pay, and a pattern is
    // compiled only where many leases are read. All times are UTC: the host's time zone need not be found.
    "--v8-flags=--no-lazy,--min-semi-space-size=16,--max-opt=0,--regexp-tier-up-ticks=50,--no-icu-timezone-data",
  ],
  ...[`--allow-read=${read}`, `--allow-write=${write}`, `--allow-run=${run}`, `--allow-env=${env}`],
];
const variables = [
  "DENO_DIR=$d",
  // A run of more than a second would ask Deno's host for a newer version.
  "DENO_NO_UPDATE_CHECK=1",
  'GLIBC_TUNABLES="$p"',
  // Without it Deno looks for the user in /etc/passwd, and for .npmrc in that home.
  "HOME=$h",
  // A runtime gets no colours on stderr, whatever it has set.
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
 * A working directory that is gone would keep Deno from starting. The cache is used only where the state folder and the
 * cache's own are root's, and nobody else can write there; it is made as such.
 */
const OWN = "41c0:0"; // mode and owner of a folder that is root's alone, as stat prints them
/** A folder of root's in which nobody else can write; 0.1.0 made its cache with mode 755. */
const READABLE = "41[ce][0d]:0";
/**
 * Memory that glibc hands out lies in huge pages, of 2 MB at a time and for all threads together: 700 page faults less, a
 * seventh of them. Not where such a page is larger: it would be cleared for one run.
 */
const HUGE_PAGE = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size";
const TUNABLES = ["hugetlb=1", "top_pad=2097152", "arena_max=1"].map((it) => `glibc.malloc.${it}`);
/** The first thing on the way to Deno, as `namei` prints it, that is not root's or that others than root can write to. */
const OPEN_PATH = `namei -om "$n" 2>/dev/null | grep -Evm1 '^(f:| *(l.{9}|.{5}-..-.)[.+@]? root )'`;
const prepare = [
  // `tools/install` and others find and replace it by its place.
  `n="${Deno.args[0]}"`,
  "case $0 in /*) cd /;; esac",
  `s=${write} d=/dev/null/none h=/`,
  // The runtime's PATH has no say in what root runs; its language costs stat and env a dozen files each.
  "export LC_ALL=C PATH=/usr/bin:/bin",
  "m=$(stat -c %f:%u $s $s/.deno 2>/dev/null)",
  `case $m in ${OWN}?${READABLE}) d=$s/.deno;; ${OWN}) mkdir -m 700 $s/.deno 2>/dev/null && d=$s/.deno;; esac`,
  '[ "$d" = /dev/null/none ] || h=$d',
  // Deno itself may not look there.
  `case $1 in doctor) o=$(${OPEN_PATH}) && set -- "$@" --open-path "$o";; esac`,
  `p=; { read -r p <${HUGE_PAGE}; } 2>/dev/null`,
  `case $p in 2097152) p=${TUNABLES.join(":")};; *) p=;; esac`,
].join("; ");
const text = `#!/bin/sh\n":" //; ${prepare}; ${command}\n`;
await Deno.stdout.write(new TextEncoder().encode(text));
