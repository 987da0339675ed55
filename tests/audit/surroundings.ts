import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CONFIG, type Finished, type Host, type Json, STATE_FOLDER } from "../integration/host.ts";
import { untilSh } from "../until.ts";

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

const SUB = `${STATE_FOLDER}/sub`;
const IN_SUB = { ...CONFIG, ipam: { dataDir: SUB } };

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
    name: "48 MB of memory",
    happens: "works",
    run: `g=/sys/fs/cgroup; [ ! -d $g/memory ] || g=$g/memory; g=$g/atomicni-test-$$; mkdir $g
      limit=$g/memory.limit_in_bytes; [ -f $limit ] || limit=$g/memory.max
      echo 48M > $limit && echo $$ > $g/cgroup.procs && echo $g > /run/cgroup; exec FILE`,
    end: "works",
    after: async (host) => {
      // A process that has ended may still be in its control group for a moment.
      await host.sh(untilSh("rmdir $(cat /run/cgroup)"));
    },
  },
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
    name: "umask 000",
    happens: "state folder 0700, files 0600",
    run: "umask 000; exec FILE",
    end: "works",
    after: async (host) => {
      const modes = await host.sh(`stat -c '%a' ${STATE_FOLDER} ${STATE_FOLDER}/podnet.*`);
      assertEquals(modes, "700\n600\n600\n");
    },
  },
  { name: "umask 777", happens: "works", run: "umask 777; exec FILE", end: "works" },
  {
    name: "32 file descriptors",
    happens: "works",
    run: "ulimit -n 32; exec FILE",
    end: "works",
  },
  {
    name: "no process may be started, no descriptor is left",
    happens: "ends with an error, nothing is left",
    run: "ulimit -n 12; exec FILE",
    end: "dies",
  },
  {
    name: "no file may grow",
    happens: "code 5, nothing is left",
    given:
      `printf '{"lastReserved":"","containerToIP":{},"ipToContainer":{}}' > ${STATE_FOLDER}/podnet.json`,
    run: "trap '' XFSZ; ulimit -f 0; exec FILE",
    end: 5,
  },
  {
    name: "SIGCHLD, SIGPIPE, SIGTERM and SIGHUP are ignored",
    happens: "works",
    run: "trap '' CHLD PIPE TERM HUP; exec FILE",
    end: "works",
  },
  {
    name: "without CAP_NET_ADMIN",
    happens: "code 100, nothing is left",
    run: "exec setpriv --bounding-set=-net_admin -- FILE",
    end: 100,
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
    name: "no /proc",
    happens: "the compiled form does not start, the script form works",
    run: "umount -l /proc; exec FILE",
    end: "either",
    stderrIsDenos: true,
  },
  {
    name: "arguments such as --allow-all and --v8-flags",
    happens: "ignored: CNI_COMMAND decides",
    run: "exec FILE --allow-all --v8-flags=--help --reload list",
    end: "works",
  },
];

const FOLDER: readonly Surroundings[] = [
  {
    name: "the state folder is a symbolic link",
    happens: "code 5, not followed",
    given: `mkdir /run/x; ln -s /run/x ${SUB}`,
    config: IN_SUB,
    end: 5,
    after: async (host) => assertEquals(await host.sh("ls -A /run/x"), ""),
  },
  {
    name: "the state folder belongs to another user",
    happens: "code 5",
    given: `mkdir ${SUB}; chown 1000 ${SUB}`,
    config: IN_SUB,
    end: 5,
  },
  {
    name: "the state folder is a file",
    happens: "code 5",
    given: `touch ${SUB}`,
    config: IN_SUB,
    end: 5,
  },
  {
    name: "the state folder is world-writable",
    happens: "works; it is 0700 again",
    given: `chmod 777 ${STATE_FOLDER}`,
    end: "works",
    after: async (host) => assertEquals(await host.sh(`stat -c %a ${STATE_FOLDER}`), "700\n"),
  },
  {
    name: "the state folder is read-only",
    happens: "code 5, nothing is left",
    given: `mount -o remount,ro ${STATE_FOLDER}`,
    end: 5,
  },
  {
    name: "the state file is a symbolic link",
    happens: "code 104, not followed",
    given: `echo secret > /run/x; ln -s /run/x ${STATE_FOLDER}/podnet.json`,
    end: 104,
    after: async (host) => assertEquals(await host.sh("cat /run/x"), "secret\n"),
  },
  {
    name: "the state file is a FIFO",
    happens: "code 104, without a wait",
    given: `mkfifo ${STATE_FOLDER}/podnet.json`,
    end: 104,
  },
  {
    name: "the state file is a device",
    happens: "code 104",
    given: `mknod ${STATE_FOLDER}/podnet.json c 1 5`,
    end: 104,
  },
  {
    name: "the state file is a hard link of another file",
    happens: "works; the other file stays as it was",
    given:
      `echo '{"lastReserved":"","containerToIP":{},"ipToContainer":{}}' > ${STATE_FOLDER}/x; ln ${STATE_FOLDER}/x ${STATE_FOLDER}/podnet.json`,
    end: "works",
    after: async (host) =>
      assertStringIncludes(await host.sh(`cat ${STATE_FOLDER}/x`), '"containerToIP":{}'),
  },
  {
    name: "the lock is a symbolic link",
    happens: "code 5, not followed",
    given: `echo secret > /run/x; ln -s /run/x ${STATE_FOLDER}/podnet.lock`,
    end: 5,
    after: async (host) => assertEquals(await host.sh("cat /run/x"), "secret\n"),
  },
  {
    name: "the lock is a FIFO",
    happens: "code 5, without a wait",
    given: `mkfifo ${STATE_FOLDER}/podnet.lock`,
    end: 5,
  },
  {
    name: "the lock is a device",
    happens: "code 5",
    given: `mknod ${STATE_FOLDER}/podnet.lock c 1 7`,
    end: 5,
  },
  {
    name: "the lock is a hard link of another file",
    happens: "works; the other file stays as it was",
    given: `echo secret > ${STATE_FOLDER}/x; ln ${STATE_FOLDER}/x ${STATE_FOLDER}/podnet.lock`,
    end: "works",
    after: async (host) => assertEquals(await host.sh(`cat ${STATE_FOLDER}/x`), "secret\n"),
  },
  {
    name: "files with strange names in the state folder",
    happens: "left alone",
    given:
      `cd ${STATE_FOLDER}; touch -- '-rf' '--help.json' '$(touch owned).json' '.json' "$(printf 'a\\nb\\033[31m.json')"; mkdir x.json`,
    end: "works",
    after: async (host, _, attempt) => {
      assert(Number(await host.sh(`ls -A ${STATE_FOLDER} | wc -l`)) >= 7);
      const listed = await attempt("", { run: "exec FILE list" });
      assertStringIncludes(listed.stdout, "10.86.0.2");
    },
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
  {
    name: "a container renames its eth0",
    happens: "CHECK reports it; DEL removes the attachment",
    end: "works",
    after: async (host, { json }, attempt) => {
      await host.sh("ip -n c1 link set dev eth0 name x0");
      const checked = await attempt("CHECK", { config: { ...CONFIG, prevResult: json } });
      assertEquals(checked.json.code, 106);
    },
  },
  {
    name: "a container moves its eth0 to another namespace",
    happens: "CHECK reports it; DEL removes the attachment",
    given: "ip netns add elsewhere",
    end: "works",
    after: async (host, { json }, attempt) => {
      await host.sh("ip -n c1 link set dev eth0 netns elsewhere");
      const checked = await attempt("CHECK", { config: { ...CONFIG, prevResult: json } });
      assertEquals(checked.json.code, 106);
    },
  },
  {
    name: "a container puts its eth0 into a bridge of its own",
    happens: "CHECK does not report it; DEL removes the attachment",
    end: "works",
    after: async (host) => {
      await host.sh("ip -n c1 link add br9 type bridge && ip -n c1 link set dev eth0 master br9");
    },
  },
  {
    name: "a container deletes its eth0",
    happens: "the address is free for other containers; DEL succeeds",
    end: "works",
    after: async (host) => {
      await host.sh("ip -n c1 link del dev eth0");
    },
  },
  {
    name: "a container sets the gateway's address and another container's MAC",
    happens: "DEL removes the attachment; SECURITY.md says how to prevent it",
    end: "works",
    after: async (host) => {
      await host.sh(
        "ip -n c1 addr add 10.86.0.1/24 dev eth0; ip -n c1 link set dev eth0 address 0a:58:0a:56:00:03",
      );
    },
  },
  {
    name: "the clock was set back, and a lease is from the future",
    happens: "works; explain says so",
    given: `cat > ${STATE_FOLDER}/podnet.json <<'E'
{"schema":2,"lastReserved":"","containerToIP":{"x/eth0":"10.86.0.9"},"ipToContainer":{"10.86.0.9":"x/eth0"},"leases":{"10.86.0.9":{"since":"2199-01-01T00:00:00Z","veth":"fe:00:00:00:00:01"}}}
E`,
    end: "works",
    after: async (_, __, attempt) => {
      const explained = await attempt("", { run: "exec FILE explain 10.86.0.9" });
      assertStringIncludes(explained.stdout, "the clock was set back");
      await attempt("DEL", { env: { CNI_CONTAINERID: "x" } });
    },
  },
  {
    name: "a bridge with 1,000 ports",
    happens: "works; at 1,023 it is code 105",
    given:
      'ip link add atomic0 address 0a:58:0a:56:00:01 type bridge; for i in $(seq 500); do echo "link add name p$i master atomic0 type veth peer name q$i"; echo "link set dev q$i master atomic0"; done | ip -batch -',
    end: "works",
  },
];

export const SURROUNDINGS: readonly Surroundings[] = [
  ...ENVIRONMENT,
  ...PROCESS,
  ...FOLDER,
  ...CONTAINER,
];
