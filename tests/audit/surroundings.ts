import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Finished, Host, Json } from "../integration/host.ts";

/** The expected outcome of an ADD: a result, an error document with that code, no document at all (with exit
 * status 0 if it is lost), or any of them. */
export type End = "works" | number | "dies" | "lost" | "either";

/** One run of the plugin, and its outcome. */
export interface Ended extends Finished {
  readonly json: Json;
}

/** One fault in the environment of the plugin. */
export interface Surroundings {
  readonly name: string;
  /** The outcome, for the table in build/evidence/hostile-surroundings.md. */
  readonly happens: string;
  /** A shell script that prepares the host. */
  readonly given?: string;
  /** A shell command that runs the plugin, FILE, in this environment. */
  readonly run?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly config?: Json;
  readonly end: End;
  /** stderr also has Deno's own messages, in colours. */
  readonly stderrIsDenos?: boolean;
  /** Further checks; if the ADD works, the attachment still exists. */
  readonly after?: (host: Host, ended: Ended, attempt: Attempt) => Promise<void>;
}

/** Runs the plugin again, with another command or environment. */
export type Attempt = (command: string, more?: Partial<Surroundings>) => Promise<Ended>;

/** Variables that change a run of Deno or Node, each with a value whose effect would show. */
const VARIABLES: Readonly<Record<string, string>> = {
  DENO_AUDIT_PERMISSIONS: "/run/owned",
  DENO_CERT: "/run/none",
  DENO_COMPAT: "1",
  DENO_COVERAGE_DIR: "/run/owned",
  DENO_DIR: "/run/owned",
  DENO_INSPECT: "127.0.0.1:9229",
  DENO_LOG: "debug",
  DENO_NO_PROMPT: "0",
  DENO_NO_UPDATE_CHECK: "0",
  DENO_PERMISSION_BROKER_PATH: "/run/none",
  DENO_TLS_CA_STORE: "none",
  DENO_TRACE_PERMISSIONS: "1",
  DENO_UNSTABLE_SLOPPY_IMPORTS: "1",
  DENO_V8_FLAGS: "--help",
  FORCE_COLOR: "1",
  NODE_CHANNEL_FD: "3",
  NODE_DEBUG: "*",
  NODE_EXTRA_CA_CERTS: "/run/none",
  NODE_OPTIONS: "--require=/run/none.js",
  NODE_PATH: "/run",
  NODE_V8_COVERAGE: "/run/owned",
  NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/",
  OTEL_DENO: "true",
  RUST_BACKTRACE: "full",
  RUST_LOG: "debug",
};

/** Scripts that a shell or a loader would run if a variable named them. */
const OWNS = "printf '#!/bin/sh\\ntouch /run/owned\\n' > /run/owns; chmod 755 /run/owns;";

const ENVIRONMENT: readonly Surroundings[] = [
  ...Object.entries(VARIABLES).map(([name, value]): Surroundings => ({
    name: `${name}=${value}`,
    happens: name === "DENO_LOG"
      ? "no difference on stdout; the compiled form's runtime writes its log to stderr"
      : "no difference",
    env: { [name]: value },
    end: "works",
    stderrIsDenos: name === "DENO_LOG",
  })),
  {
    name: "LD_PRELOAD names a library",
    happens: "ip does not get it",
    env: { LD_PRELOAD: "/lib/x86_64-linux-gnu/libm.so.6" },
    end: "works",
  },
  {
    name: "LD_LIBRARY_PATH has a broken libmnl, which only ip loads",
    happens: "ip does not get it",
    given: "mkdir /run/lib; echo broken > /run/lib/libmnl.so.0",
    env: { LD_LIBRARY_PATH: "/run/lib" },
    end: "works",
  },
  {
    name: "PATH has another ip, env and deno first",
    happens: "absolute paths are used",
    given: `${OWNS} mkdir /run/bin; for it in ip env deno sh; do cp /run/owns /run/bin/$it; done`,
    env: { PATH: "/run/bin:/usr/bin" },
    end: "works",
  },
  {
    name: "PATH is empty",
    happens: "absolute paths are used",
    env: { PATH: "" },
    end: "works",
  },
  {
    name: "HOME is a folder that does not exist",
    happens: "it is not created",
    env: { HOME: "/run/owned" },
    end: "works",
  },
  {
    name: "TMPDIR is another user's folder",
    happens: "nothing is written there",
    given: "mkdir -m 777 /run/tmp",
    env: { TMPDIR: "/run/tmp" },
    end: "works",
    after: async (host) => assertEquals(await host.sh("ls -A /run/tmp"), ""),
  },
  {
    name: "ENV, BASH_ENV, IFS, CDPATH and PS4, which change a shell",
    happens: "no difference",
    given: OWNS,
    env: { ENV: "/run/owns", BASH_ENV: "/run/owns", IFS: "/", CDPATH: "/run", PS4: "$(/run/owns)" },
    end: "works",
  },
  {
    name: "LC_ALL and LANG of another language",
    happens: "ip runs without them",
    env: { LC_ALL: "de_DE.UTF-8", LANG: "ja_JP.UTF-8" },
    end: "works",
  },
  {
    name: "CNI_CONTAINERID is not UTF-8",
    happens: "code 4",
    run: "CNI_CONTAINERID=$(printf '\\377') FILE",
    end: 4,
  },
  {
    name: "CNI_CONTAINERID has 100,000 characters",
    happens: "works: the veth's name is a hash, its alias is shortened",
    env: { CNI_CONTAINERID: "c".repeat(100_000) },
    end: "works",
  },
];

const PROCESS: readonly Surroundings[] = [
  {
    name: "a deno.json, package.json and node_modules in the working directory",
    happens: "not read",
    given:
      "mkdir -p /run/w/node_modules/@std; cd /run/w; echo '{ broken' | tee deno.json > package.json",
    run: "cd /run/w && exec FILE",
    end: "works",
  },
  {
    name: "a broken deno.json and package.json next to the program",
    happens: "not read",
    given: "mkdir /run/w; echo '{ broken' | tee /run/w/deno.json > /run/w/package.json",
    run: "cp FILE /run/w/atomicni && exec /run/w/atomicni",
    end: "works",
  },
  {
    name: "the program in a folder with blanks and quotes in its name",
    happens: "works",
    run: `mkdir "/run/a 'b\\"" && cp FILE "/run/a 'b\\"/it" && exec "/run/a 'b\\"/it"`,
    end: "works",
  },
  {
    name: "a working directory that may not be read",
    happens: "works",
    run: "mkdir -m 0 /run/w && cd /run/w && exec FILE",
    end: "works",
  },
  {
    name: "a deleted working directory",
    happens: "the compiled form does not start and prints nothing on stdout, the script form works",
    run: "mkdir /run/w && cd /run/w && rmdir /run/w && exec FILE",
    end: "either",
    stderrIsDenos: true,
    // denort reads the directory before it runs a line of the program.
    after: (_, { code, stderr }) => {
      if (code !== 0) assertStringIncludes(stderr, "failed resolving cwd");
      return Promise.resolve();
    },
  },
  {
    name: "stdin closed",
    happens: "code 6: it is empty",
    run: "exec FILE <&-",
    end: 6,
  },
  { name: "stdin is a folder", happens: "code 5", run: "exec FILE < /run", end: 5 },
  {
    name: "stdin is /dev/zero",
    happens: "code 6 after 8 MiB",
    run: "exec FILE < /dev/zero",
    end: 6,
  },
  ...(["closed", "full", "a pipe that nobody reads"] as const).map((how): Surroundings => ({
    name: `stdout is ${how}`,
    happens: how === "closed"
      ? "exit 0, and the result is lost, as with any program; DEL removes the attachment"
      : "exit 1, and nothing is left: a result that can't be written is rolled back",
    run: how === "closed"
      ? "exec FILE >&-"
      : how === "full"
      ? "exec FILE > /dev/full"
      : "mkfifo /run/pipe; sleep 60 < /run/pipe & exec 9> /run/pipe; kill $!; wait $!; exec FILE >&9",
    end: how === "closed" ? "lost" : "dies",
    after: async (_, __, attempt) => {
      if (how === "closed") assertEquals((await attempt("DEL")).code, 0);
    },
  })),
  {
    name: "stderr closed",
    happens: "works",
    run: "exec FILE 2>&-",
    end: "works",
  },
  {
    name: "stdout and stderr are a terminal",
    happens: "works, asks nothing",
    run: "cat > /run/stdin; script -qec 'FILE < /run/stdin' /dev/null < /dev/null",
    end: "works",
  },
  {
    name: "SIGCHLD, SIGPIPE, SIGTERM and SIGHUP are ignored",
    happens: "works",
    run: "trap '' CHLD PIPE TERM HUP; exec FILE",
    end: "works",
  },
  {
    name: "no new privileges, lowest priority",
    happens: "works",
    run: "exec setpriv --no-new-privs nice -n 19 FILE",
    end: "works",
  },
  {
    name: "the root file system is read-only, /tmp too",
    happens: "works: the state folder is a mount of its own",
    // Mounted onto itself, because the checkout may be inside it.
    given: "mount --bind /tmp /tmp; mount -o remount,bind,ro /tmp; mount -o remount,bind,ro /",
    end: "works",
  },
  {
    name: "arguments such as --allow-all and --v8-flags",
    happens: "ignored: CNI_COMMAND decides",
    run: "exec FILE --allow-all --v8-flags=--help --reload list",
    end: "works",
  },
];

const CONTAINER: readonly Surroundings[] = [
  {
    name: "a pod's name with terminal escapes",
    happens: "works; they are question marks in the alias and the state",
    env: {
      CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=x\x1b[31m\u009b31m\n\u202e",
    },
    end: "works",
    after: async (host, _, attempt) => {
      const [veth] = await host.hostVeths();
      const [link] = await host.ip("", "link", "show", "dev", veth ?? "");
      assertEquals(link.ifalias, "a/x??31m?31m?? podnet/c1/eth0");
      const listed = await attempt("", { run: "exec FILE list" });
      assertStringIncludes(listed.stdout, "a/x??31m?31m??");
    },
  },
  {
    name: "a pod's name of 10,000 characters",
    happens: "works; it is shortened",
    env: { CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=${"x".repeat(10_000)}` },
    end: "works",
    after: async (_, __, attempt) => {
      const listed = await attempt("", { run: "exec FILE list" });
      assert(listed.stdout.split("\n").every((line) => line.length < 500));
    },
  },
  {
    name: "CNI_ARGS of 100,000 characters",
    happens: "works",
    env: { CNI_ARGS: `IgnoreUnknown=1;X=${"x".repeat(100_000)}` },
    end: "works",
  },
  {
    name: "a container gives its eth0 an alias of 1 MB of escapes",
    happens: "the kernel keeps 255 bytes; none of them is shown",
    end: "works",
    after: async (host, _, attempt) => {
      const alias = "\x1b]0;owned\x07\x1b[31m".repeat(60_000);
      await host.run(["sh", "-c", "cat > /run/alias"], alias);
      const set = (text: string) =>
        host.run(["ip", "-n", "c1", "link", "set", "dev", "eth0", "alias", text]);
      assert((await set(alias.slice(0, 60_000))).code !== 0, "the kernel accepted it");
      assertEquals((await set(alias.slice(0, 250))).code, 0);
      const [veth = ""] = await host.hostVeths();
      await host.run(["ip", "link", "set", "dev", veth, "alias", alias.slice(0, 250)]);
      for (const command of ["list", "explain 10.86.0.2", "status", `explain ${veth}`]) {
        const { stdout } = await attempt("", { run: `exec FILE ${command}` });
        assertStringIncludes(stdout, "podnet", command);
      }
    },
  },
];

export const SURROUNDINGS: readonly Surroundings[] = [
  ...ENVIRONMENT,
  ...PROCESS,
  ...CONTAINER,
];
