import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  type Answer,
  type CniCall,
  cniEnv,
  CONFIG,
  type Host,
  type Json,
  PROGRAM,
  STATE_FOLDER,
} from "../integration/host.ts";
import { REMOVE_ALL } from "../integration/shell.ts";
import { snapshot } from "../integration/snapshot.ts";

/** Variables that the source form needs besides the CNI variables, to find Deno's cache and the packages of JSR. */
const PASSED_ON = Object.fromEntries(
  ["HOME", "JSR_URL", "DENO_DIR", "XDG_CACHE_HOME", "PATH"].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }),
);

/** One row of the conformance table: the promise, and the steps that prove it on a fresh host. */
export interface Row {
  /** Rules, separated by blanks. */
  readonly rules: string;
  readonly what: string;
  readonly steps: (lab: Lab) => Promise<void>;
}

/**
 * The name of a row's test. It begins with the rules, so that `--filter 'B5'` finds them. A report in XML drops control
 * characters.
 */
export function nameOf({ rules, what }: Pick<Row, "rules" | "what">): string {
  return `${rules}: ${what.replaceAll(/\p{Cc}/gu, (it) => `\\x${it.charCodeAt(0).toString(16)}`)}`;
}

export function row(rules: string, what: string, steps: Row["steps"]): Row {
  return { rules, what, steps };
}

/** A row with one run that is refused: the code, the message, and nothing changed. */
export function refused(
  rules: string,
  what: string,
  command: string,
  call: CniCall,
  code: number,
  says: RegExp,
): Row {
  return row(rules, what, async (lab) => {
    await lab.refuse(command, call, code, says);
  });
}

/** The beginning of the text that `says` matches, for the name of a row. */
export function messageOf(says: RegExp): string {
  return says.source.replace(/\.\*.*/, "").replaceAll("\\", "");
}

/** The same configuration in the dialect of bridge + host-local. */
export const HOST_LOCAL = {
  cniVersion: "1.0.0",
  name: "podnet",
  type: "atomicni",
  bridge: "cni0",
  isGateway: true,
  ipam: { type: "host-local", subnet: "10.86.0.0/24" },
} as const;

export function hostLocal(change: Json = {}, ipam: Json = {}): Json {
  return { ...HOST_LOCAL, ...change, ipam: { ...HOST_LOCAL.ipam, ...ipam } };
}

const PUT_IP = `
ip=$(readlink -f /usr/sbin/ip); mkdir -p /run/bin; [ -e /run/bin/real ] || cp "$ip" /run/bin/real
cat >/run/bin/ip; if [ -s /run/bin/ip ]; then chmod 755 /run/bin/ip; else chmod 644 /run/bin/ip; fi
mount --bind /run/bin/ip "$ip"`;

const CLEAN = `${REMOVE_ALL}
remove_all
for n in /run/netns/*; do [ ! -e "$n" ]; done
find ${STATE_FOLDER} -mindepth 1 -maxdepth 1 ! -name .deno -exec rm -rf {} +`;

/** A host for a row. `form` is the command that starts the program, `undefined` for that of host.ts. */
export class Lab {
  readonly documents: string[] = [];
  readonly #made = new Set<string>();

  constructor(readonly host: Host, readonly form?: string) {}

  /** Resets the host; `more` is a script that resets what rows don't change themselves. */
  async clean(more = ""): Promise<void> {
    this.#made.clear();
    await this.host.sh(`${CLEAN}\n${more}`);
  }

  /** One run. It creates the container's namespace if it does not exist yet. */
  async cni(command: string, call: CniCall = {}): Promise<Answer> {
    const { id = "c1", netns = id } = call;
    if (/^[a-z]\w*$/i.test(netns) && netns !== "gone") await this.container(netns);
    const { config = CONFIG } = call;
    return await this.raw(cniEnv(command, call), call.stdin ?? JSON.stringify(config));
  }

  /** One run with exactly this environment. */
  async raw(env: Record<string, string>, stdin: string | Uint8Array = ""): Promise<Answer> {
    const answer = this.form === undefined
      ? await this.host.program([], stdin, env)
      : asAnswer(await this.host.run([this.form], stdin, env));
    this.documents.push(`${env["CNI_COMMAND"]} exit ${answer.code} ${answer.stdout}`);
    return answer;
  }

  /** One run whose stdin is never closed; it has two seconds. */
  async openStdin(env: Record<string, string>): Promise<Answer> {
    const script = 'p=/run/stdin.$$; mkfifo $p; exec 3<>$p; exec timeout 2 "$@" <$p';
    const command = [
      "sh",
      "-c",
      script,
      "sh",
      ...(this.form === undefined ? PROGRAM : [this.form]),
    ];
    return asAnswer(await this.host.run(command, "", { ...PASSED_ON, ...env }));
  }

  /** One run with a shell script instead of `ip`; `/run/bin/real` is the real one. */
  async withIp(script: string, command: string, call: CniCall = {}): Promise<Answer> {
    await this.container(call.netns ?? call.id ?? "c1");
    await this.host.run(["sh", "-ec", PUT_IP], script);
    try {
      return await this.cni(command, call);
    } finally {
      await this.host.sh('umount "$(readlink -f /usr/sbin/ip)"');
    }
  }

  /** Creates the container's namespace; returns whether it was missing. */
  async container(name: string): Promise<boolean> {
    if (this.#made.has(name)) return false;
    this.#made.add(name);
    await this.host.containers(name);
    return true;
  }

  async add(call: CniCall = {}): Promise<Json> {
    const { code, json, stdout, stderr } = await this.cni("ADD", call);
    assertEquals(code, 0, `ADD: ${stderr}${stdout}`);
    assert(stdout.endsWith("}\n") && json !== undefined, `one document: ${stdout}`);
    return json;
  }

  /** A run that has to succeed without output. */
  async silent(command: string, call: CniCall = {}): Promise<void> {
    const { code, stdout, stderr } = await this.cni(command, call);
    assertEquals({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" }, command);
  }

  /** A run that has to be refused and change nothing on the host, in a container or in the state. */
  async refuse(command: string, call: CniCall, code: number, says: RegExp): Promise<Json> {
    const { id = "c1", netns = id } = call;
    if (/^[a-z]\w*$/i.test(netns) && netns !== "gone") await this.container(netns);
    const before = await this.#snapshot();
    const answer = await this.cni(command, call);
    const document = this.mustBeError(answer, code, says);
    assertEquals(await this.#snapshot(), before, `${command} changed something`);
    return document;
  }

  /**
   * Everything that a run could have changed. A bridge without a fixed MAC has no MAC once its last port has left.
   */
  async #snapshot(): Promise<Json[]> {
    return (await snapshot(this.host)).map((it) =>
      Array.isArray(it) ? it.map(({ address: _, ...link }) => link) : it
    );
  }

  mustBeError({ code: exit, json, stdout, stderr }: Answer, code: number, says: RegExp): Json {
    assertEquals(exit, 1, `exit status; ${stdout}`);
    assertEquals(json?.code, code, `code; ${stdout}`);
    assertMatch(`${json.msg}; ${json.details ?? ""}`, says);
    assertEquals(typeof json.cniVersion, "string", "cniVersion in the error document");
    for (const key of Object.keys(json)) {
      assert(["cniVersion", "code", "msg", "details"].includes(key), `key ${key} in ${stdout}`);
    }
    assert(!/\n\s+at |file:\/\//.test(stderr + stdout), `a stack trace: ${stderr}`);
    return json;
  }

  /** The interface of a container, as the kernel shows it. */
  async inside(container = "c1", ifname = "eth0"): Promise<Json> {
    return (await this.host.ip(container, "addr", "show", "dev", ifname))[0];
  }

  async link(name: string): Promise<Json> {
    return (await this.host.ip("", "addr", "show", "dev", name))[0];
  }

  async routes(container = "c1", ...what: string[]): Promise<Json[]> {
    return await this.host.ip(container, "-4", "route", "show", ...what);
  }

  /** IPv6 routes of a container, without link-local ones. */
  async routes6(container = "c1"): Promise<Json[]> {
    const routes = await this.host.ip(container, "-6", "route", "show");
    return routes.filter(({ dst }) => !dst.startsWith("fe80:"));
  }

  /** Addresses of both families with prefix length, without link-local ones; `""` is the host. */
  async addresses(container: string, ifname: string): Promise<string[]> {
    const [link] = await this.host.ip(container, "addr", "show", "dev", ifname);
    return (link?.addr_info ?? []).filter(({ scope }: Json) => scope !== "link")
      .map(({ local, prefixlen }: Json) => `${local}/${prefixlen}`);
  }
}

function asAnswer(finished: Omit<Answer, "json">): Answer {
  try {
    return { ...finished, json: JSON.parse(finished.stdout) };
  } catch {
    return { ...finished, json: undefined };
  }
}
