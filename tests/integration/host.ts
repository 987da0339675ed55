import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { latest, untilSh } from "../until.ts";
import { NET } from "../podnet.ts";
import { test } from "../both_errors.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const DECODER = new TextDecoder();

const NAMED = Deno.env.get("ATOMICNI");
/** The built file that ATOMICNI names. */
export const BUILT = NAMED === undefined ? undefined : located(NAMED);

/** The absolute path of a file that a variable names. */
export function located(file: string): string {
  return new URL(file, `file://${Deno.cwd()}/`).pathname;
}

/** The program under test: the built file, else the source under the declared permissions. */
export const PROGRAM: readonly string[] = BUILT !== undefined ? [BUILT] : [
  Deno.execPath(),
  "run",
  "-q",
  "-P=plugin",
  "-c",
  `${ROOT}deno.json`,
  "--no-prompt",
  `${ROOT}main.ts`,
];

/**
 * Variables that the program needs besides the CNI variables. Only its source form needs any, to find Deno's cache
 * and JSR's files.
 */
const PASSED_ON = BUILT !== undefined ? [] : ["HOME", "JSR_URL", "DENO_DIR", "XDG_CACHE_HOME"];

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

// deno-lint-ignore no-explicit-any
export type Json = any;

/** The outcome of one run of the plugin. `json` is its document, `undefined` if it printed none. */
export interface Answer extends Finished {
  readonly json: Json;
}

export interface CniCall {
  readonly config?: unknown;
  /** Bytes to send as they are, instead of `config`. */
  readonly stdin?: string | Uint8Array;
  readonly id?: string;
  /** Name below /run/netns, or a path. */
  readonly netns?: string;
  readonly ifname?: string;
  readonly args?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A command that starts the plugin, for example strace. */
  readonly under?: readonly string[];
}

/** The environment of a run. */
export function cniEnv(
  command: string,
  { id = "c1", netns = id, ifname = "eth0", args, env }: CniCall,
): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: id,
    CNI_NETNS: netns === "" || netns.startsWith("/") ? netns : `/run/netns/${netns}`,
    CNI_IFNAME: ifname,
    CNI_PATH: "/opt/cni/bin",
    ...(args !== undefined && { CNI_ARGS: args }),
    ...env,
  };
}

/** A working configuration that a test can change. */
export { NET as CONFIG };

export const STATE_FOLDER = "/var/lib/atomicni";

export async function run(
  command: readonly string[],
  stdin: string | Uint8Array = "",
  env?: Record<string, string>,
): Promise<Finished> {
  const [program = "", ...args] = command;
  const child = new Deno.Command(program, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    ...(env !== undefined && { clearEnv: true, env }),
  }).spawn();
  const writer = child.stdin.getWriter();
  const bytes = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin;
  writer.write(bytes).then(() => writer.close()).catch(() => {});
  const { code, stdout, stderr } = await child.output();
  return { code, stdout: DECODER.decode(stdout), stderr: DECODER.decode(stderr) };
}

/**
 * Starts the process that holds a host's namespaces: `unshare` with a script that says "ready" and waits. The
 * whole host ends with it.
 */
export async function hold(
  options: readonly string[],
  script: string,
  env: Record<string, string> = {},
): Promise<Deno.ChildProcess> {
  const holder = new Deno.Command("unshare", {
    args: [...options, "--propagation", "private", "sh", "-c", script],
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = holder.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  await holder.stdout.cancel();
  if (DECODER.decode(value) === "ready\n") return holder;
  throw new Error(`no private host: ${DECODER.decode(value)}`);
}

/** Reads from a process that may end at any moment. */
function tryRead(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The output of `ip -j`, without the empty objects that it prints for omitted entries; nothing if it failed. */
export function objects({ code, stdout }: Finished): Json[] {
  if (code !== 0) return [];
  return (JSON.parse(stdout || "[]") as Json[]).filter((it) => Object.keys(it).length > 0);
}

/** Whether an interface belongs to this plugin, by its name. */
export function isHostVeth(ifname: string): boolean {
  return /^a[vp][0-9a-f]{13}$/.test(ifname);
}

export type Mode = "root" | "rootless";
/**
 * How tests may create a private host: as real root, or in their own user namespace. `ROOTLESS=no` leaves the second out
 * for root.
 */
export const MODES: readonly Mode[] = Deno.uid() !== 0
  ? ["rootless"]
  : Deno.env.get("ROOTLESS") === "no"
  ? ["root"]
  : ["root", "rootless"];

const NOT_WARM = "/nowhere";
/**
 * The code that Deno has compiled of the script form (tools/build/warm), if it exists. WARM names it for a program that
 * starts that form.
 */
const WARM = located(
  Deno.env.get("WARM") ?? (BUILT === `${ROOT}bin/atomicni.js` ? `${ROOT}build/warm` : NOT_WARM),
);

const SETUP = `
mount -t tmpfs tmpfs /run && mkdir -p /run/netns
[ -d ${STATE_FOLDER} ] || { mount -t tmpfs tmpfs /var/lib && mkdir -p ${STATE_FOLDER}; }
mount -t tmpfs -o mode=0700 tmpfs ${STATE_FOLDER}
[ ! -d ${WARM} ] || cp -a ${WARM} ${STATE_FOLDER}/.deno
ip link set dev lo up && echo ready && exec sleep 3600`;

/**
 * A private host for one test: network and mount namespaces in which /run and the state folder are empty, except
 * for Deno's compiled code. The whole host ends with the one process that holds it.
 */
export class Host implements AsyncDisposable {
  readonly #holder: Deno.ChildProcess;
  readonly #enter: readonly string[];
  #answers: Answer[] = [];

  private constructor(holder: Deno.ChildProcess, enter: readonly string[]) {
    this.#holder = holder;
    this.#enter = enter;
  }

  static async create(mode: Mode = MODES[0] ?? "rootless"): Promise<Host> {
    const holder = await hold([mode === "root" ? "-mn" : "-Urmn"], SETUP);
    const userns = mode === "root" ? [] : ["-U", "--preserve-credentials"];
    return new Host(holder, ["nsenter", "-t", String(holder.pid), ...userns, "-m", "-n", "--"]);
  }

  /** Fails if an `ip` of the plugin is still running: it would keep its namespaces alive. */
  async [Symbol.asyncDispose](): Promise<void> {
    // An `ip` whose plugin was killed may be about to end.
    const left = await latest(() => this.#ips(), (ips) => ips.length === 0, 2);
    for (const { pid } of left) Deno.kill(pid, "SIGKILL");
    this.#holder.kill("SIGKILL");
    await this.#holder.status;
    assertEquals(left.map(({ words }) => words), [], "an ip is left");
  }

  /** Each running `ip` of this host that was started the way the plugin does. */
  #ips(): { readonly pid: number; readonly words: string }[] {
    const own = tryRead(() => Deno.readLinkSync(`/proc/${this.#holder.pid}/ns/mnt`));
    return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
      if (!/^\d+$/.test(name)) return [];
      if (tryRead(() => Deno.readLinkSync(`/proc/${name}/ns/mnt`)) !== own) return [];
      const words = tryRead(() => Deno.readTextFileSync(`/proc/${name}/cmdline`)) ?? "";
      return /^\/[^\0]*\/ip\0/.test(words)
        ? [{ pid: Number(name), words: words.replaceAll("\0", " ").trim() }]
        : [];
    });
  }

  /** The command line that runs `command` on this host. */
  inside(...command: string[]): string[] {
    return [...this.#enter, ...command];
  }

  async run(
    command: readonly string[],
    stdin: string | Uint8Array = "",
    env?: Record<string, string>,
  ): Promise<Finished> {
    return await run([...this.#enter, ...command], stdin, env);
  }

  /** Runs a shell script on this host; its failure fails the test. */
  async sh(script: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(["sh", "-ec", script]);
    if (code !== 0) throw new Error(`${script}: exit ${code}: ${stderr}`);
    return stdout;
  }

  /** Creates network namespaces below /run/netns. */
  async containers(...names: string[]): Promise<void> {
    await this.sh(
      names.map((name) => `ip netns add ${name} && ip -n ${name} link set dev lo up`).join("\n"),
    );
  }

  /** Runs the program as a runtime does. */
  async cni(command: string, call: CniCall = {}): Promise<Answer> {
    const { config = NET } = call;
    const stdin = call.stdin ?? JSON.stringify(config);
    return await this.program([], stdin, cniEnv(command, call), call.under);
  }

  /** Runs the program with arguments, as a person does, or with a given environment. */
  async program(
    args: readonly string[],
    stdin: string | Uint8Array,
    env: Record<string, string> = {},
    under: readonly string[] = [],
  ): Promise<Answer> {
    // The built forms do this by themselves.
    if (BUILT === undefined) env = { DENO_NO_UPDATE_CHECK: "1", ...env };
    for (const name of PASSED_ON) {
      const value = Deno.env.get(name);
      if (value !== undefined) env = { ...env, [name]: value };
    }
    const finished = await this.run([...under, ...PROGRAM, ...args], stdin, env);
    const answer = { ...finished, json: parsed(finished.stdout) };
    this.#answers.push(answer);
    return answer;
  }

  /** An ADD that has to succeed; returns its result. */
  async add(call: CniCall = {}): Promise<Json> {
    const { code, json, stderr } = await this.cni("ADD", call);
    assertEquals(code, 0, `ADD failed: ${stderr}`);
    return json;
  }

  async del(call: CniCall = {}): Promise<void> {
    const { code, stdout, stderr } = await this.cni("DEL", call);
    assertEquals({ code, stdout }, { code: 0, stdout: "" }, `DEL failed: ${stderr}`);
  }

  /** Ends a container's namespace and waits for the kernel, which removes its contents some time later. */
  async end(id: string): Promise<void> {
    await this.sh(`ip netns del ${id}
${untilSh(`! ip link show type veth | grep -q '/${id}/'`)}`);
  }

  /** `ip -j` with these arguments, in a container's namespace or (`""`) on the host. */
  async ip(namespace: string, ...args: string[]): Promise<Json[]> {
    const at = namespace === "" ? [] : ["-n", namespace];
    return objects(await this.run(["ip", ...at, "-d", "-j", ...args]));
  }

  /** Names of the host's links, without `lo`. */
  async links(): Promise<string[]> {
    return (await this.ip("", "link", "show")).map((link) => link.ifname).filter((name) =>
      name !== "lo"
    ).sort();
  }

  async hostVeths(): Promise<string[]> {
    return (await this.links()).filter(isHostVeth);
  }

  /** IPv4 addresses with prefix length of one interface. */
  async addresses(namespace: string, ifname: string): Promise<string[]> {
    const [link] = await this.ip(namespace, "-4", "addr", "show", "dev", ifname);
    return (link?.addr_info ?? []).map((it: Json) => `${it.local}/${it.prefixlen}`);
  }

  async state(network: string = NET.name): Promise<Json> {
    const { code, stdout } = await this.run(["cat", `${STATE_FOLDER}/${network}.json`]);
    return code === 0 ? JSON.parse(stdout) : undefined;
  }

  /** The addresses by owner: one map of the state file, after a comparison with the other one. */
  async leases(network: string = NET.name): Promise<Json> {
    const { containerToIP = {}, ipToContainer = {} } = await this.state(network) ?? {};
    const held = Object.entries(containerToIP as Record<string, string | string[]>).flatMap(
      ([owner, value]) => [value].flat().map((ip) => [ip, owner] as const),
    );
    assertEquals(
      Object.fromEntries(held),
      ipToContainer,
      "the two maps of the state file disagree",
    );
    return containerToIP;
  }

  /** Everything in the state folder, hidden files too, except Deno's cache of the script form. */
  async files(): Promise<string[]> {
    const found = await this.sh(
      `cd ${STATE_FOLDER} && find . -mindepth 1 -not -path './.deno*' | sort`,
    );
    return found.split("\n").filter((name) => name !== "");
  }

  async pings(from: string, to: string): Promise<boolean> {
    const { code } = await this.run([
      "ip",
      "netns",
      "exec",
      from,
      "busybox",
      "ping",
      "-c",
      "1",
      "-W",
      "2",
      to,
    ]);
    return code === 0;
  }

  /** Asserts that no veth, lease or temporary file of this plugin is left. */
  async assertNothingLeft(network: string = NET.name): Promise<void> {
    assertEquals(await this.hostVeths(), [], "a host veth is left");
    assertEquals(await this.leases(network), {}, "a lease is left");
    assertEquals(
      (await this.files()).filter((name) => name.endsWith(".tmp")),
      [],
      "a temporary file is left",
    );
  }

  /** Kernel, state and documents, for the reader of a failed test. */
  async report(): Promise<string> {
    const { stdout: names } = await this.run(["ls", "/run/netns"]);
    const parts = [`# host: ip -j addr\n${(await this.run(["ip", "-j", "addr"])).stdout}`];
    for (const name of names.split("\n").filter((it) => it !== "")) {
      parts.push(
        `# ${name}: ip -j addr\n${(await this.run(["ip", "-n", name, "-j", "addr"])).stdout}`,
      );
    }
    parts.push(
      `# state\n${
        (await this.run([
          "sh",
          "-c",
          `head -c 4000 ${STATE_FOLDER}/*.json; ls -la ${STATE_FOLDER}`,
        ])).stdout
      }`,
    );
    for (const { code, stdout, stderr } of this.#answers.slice(-3)) {
      parts.push(`# a run: exit ${code}\n${stdout.slice(0, 3000)}\n${stderr.slice(0, 3000)}`);
    }
    return parts.join("\n");
  }
}

function parsed(stdout: string): Json {
  try {
    return JSON.parse(stdout);
  } catch {
    return undefined;
  }
}

/**
 * A test on its own private host, as root if possible. With `MODES` it also runs without root, which is for tests of what a
 * command does to the kernel. If it fails, it prints kernel, state and documents.
 */
export function hostTest(
  name: string,
  body: (host: Host, mode: Mode) => Promise<void>,
  modes: readonly Mode[] = MODES.slice(0, 1),
): void {
  for (const mode of modes) {
    test(`${name}${mode === "rootless" ? " (rootless)" : ""}`, async () => {
      await using host = await Host.create(mode);
      try {
        await body(host, mode);
      } catch (error) {
        if (error instanceof Error) error.message += `\n${await host.report()}`;
        throw error;
      }
    });
  }
}
