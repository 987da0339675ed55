import { fromFileUrl } from "@std/path/posix";
import {
  BUILT,
  type Finished,
  hold,
  isHostVeth,
  type Json,
  objects,
  run,
} from "../integration/host.ts";
import { test } from "../both_errors.ts";
import { type Found, untilWorks } from "../until.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** The built file under test: ATOMICNI, else the script form. */
export const BINARY = BUILT ?? `${ROOT}bin/atomicni.js`;
export const DEPLOY = `${ROOT}deploy`;
/** The code that Deno has compiled of the installed script form (tools/build/warm), if it exists. */
const WARM = `${ROOT}build/warm-installed`;
/** The folder of the reference plugins in Debian's package. */
export const REFERENCE_PLUGINS = "/usr/lib/cni";

/**
 * Copies the plugin to /run/one, and another build of it to /run/another: a compiled file that differs in an unused byte
 * of its ELF header.
 */
export const ANOTHER_BUILD = `
cp /opt/cni/bin/atomicni /run/one && cp /opt/cni/bin/atomicni /run/another
if [ "$(head -c 4 /run/one | tail -c 3)" = ELF ]; then printf x | dd of=/run/another bs=1 seek=15 conv=notrunc status=none
else echo >>/run/another; fi
! cmp -s /run/one /run/another`;

/** Further settings of a plugin call, besides configuration and container. */
export interface CniCall {
  readonly ifname?: string;
  readonly netns?: string;
  readonly args?: string;
}

/**
 * The parts of a node: private writable layers over /etc, /opt, /var and the reference plugins' folder, an empty /run,
 * and every plugin in both folders, as docs/containerd.md links them. Process 1 waits for orphans, as an init does.
 */
const SETUP = `
set -e
mount -t tmpfs tmpfs /run && mkdir -p /run/netns /run/lock /run/log
for top in etc opt var ${REFERENCE_PLUGINS.slice(1)}; do
  mkdir -p /run/layers/$top/upper /run/layers/$top/work
  mount -t overlay overlay -o lowerdir=/$top,upperdir=/run/layers/$top/upper,workdir=/run/layers/$top/work /$top
done
for folder in /var/lib/atomicni /var/lib/cni /var/lib/containerd /etc/cni /etc/containerd /opt/cni; do
  mkdir -p $folder && mount -t tmpfs -o mode=0755 tmpfs $folder
done
mkdir -p /etc/cni/net.d /opt/cni/bin
chmod 700 /var/lib/atomicni
[ ! -d ${WARM} ] || cp -a ${WARM} /var/lib/atomicni/.deno
for plugin in ${REFERENCE_PLUGINS}/*; do ln -s $plugin /opt/cni/bin/; done
cp "$BINARY" /opt/cni/bin/atomicni
ln -s /opt/cni/bin/atomicni ${REFERENCE_PLUGINS}/
ip link set dev lo up
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
echo ready
while :; do sleep 1; done`;

/** Process 1 and all others take a moment to end; only an empty cgroup can be removed. */
const FORGET_CGROUPS = `
for try in 1 2 3 4 5 6 7 8 9 10; do
  left=$(find /sys/fs/cgroup -depth -type d \\( -path "*$1" -o -path "*$1/*" \\) 2>/dev/null)
  [ -n "$left" ] || exit 0
  rmdir $left 2>/dev/null || sleep 0.2
done
echo "$left" >&2
exit 1`;

/**
 * A machine for one test: mount, network, host name and process namespaces. Everything in it, containers and their
 * shims included, ends with its process 1.
 */
export class Node implements AsyncDisposable {
  readonly #holder: Deno.ChildProcess;
  /** Process 1, by its process ID outside. */
  readonly pid: number;
  readonly name: string;

  private constructor(name: string, holder: Deno.ChildProcess, pid: number) {
    this.name = name;
    this.#holder = holder;
    this.pid = pid;
  }

  static async create(name = "node"): Promise<Node> {
    const options = ["-mnpu", "--fork", "--kill-child=KILL", "--mount-proc"];
    const holder = await hold(options, SETUP, { BINARY });
    const children = `/proc/${holder.pid}/task/${holder.pid}/children`;
    const node = new Node(name, holder, Number((await Deno.readTextFile(children)).trim()));
    await node.sh(`hostname ${name}`);
    return node;
  }

  /** The folder of its containers' cgroups: they belong to the kernel, and outlive the node. */
  get cgroup(): string {
    return `/atomicni-tests-${this.pid}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#holder.kill("SIGKILL");
    await this.#holder.status;
    const { code, stderr } = await run(["sh", "-c", FORGET_CGROUPS, "sh", this.cgroup]);
    if (code !== 0) throw new Error(`cgroups of ${this.name} are left: ${stderr}`);
  }

  inside(...command: string[]): string[] {
    return ["nsenter", "-t", String(this.pid), "-m", "-n", "-p", "-u", "--", ...command];
  }

  async run(
    command: readonly string[],
    stdin = "",
    env?: Record<string, string>,
  ): Promise<Finished> {
    return await run(this.inside(...command), stdin, env);
  }

  /** Runs a shell script inside and returns its output; its failure fails the test. */
  async sh(script: string, stdin = ""): Promise<string> {
    const { code, stdout, stderr } = await this.run(["sh", "-ec", script], stdin);
    if (code !== 0) throw new Error(`${this.name}: ${script}: exit ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Starts a program in the background, its output in /run/log/NAME.log; returns its process ID inside. */
  async daemon(name: string, ...command: string[]): Promise<number> {
    const words = command.map((word) => `'${word}'`).join(" ");
    return Number(await this.sh(`${words} >>/run/log/${name}.log 2>&1 </dev/null & echo $!`));
  }

  async write(path: string, text: string): Promise<void> {
    await this.sh(
      `mkdir -p "$(dirname "${path}")" && cat >"${path}.new" && mv "${path}.new" "${path}"`,
      text,
    );
  }

  async read(path: string): Promise<string> {
    return await this.sh(`cat "${path}"`);
  }

  /** `ip -d -j` with these arguments; nothing if it fails. */
  async ip(...args: string[]): Promise<Json[]> {
    return objects(await this.run(["ip", "-d", "-j", ...args]));
  }

  /** Creates network namespaces that represent containers, `id` for each. */
  async containers(...ids: string[]): Promise<void> {
    await this.sh(ids.map((id) => `ip netns add ${id}; ip -n ${id} link set dev lo up`).join("\n"));
  }

  /** Runs the plugin as a runtime does, for a container that `containers` created. */
  async cni(command: string, config: unknown, id: string, call: CniCall = {}): Promise<Finished> {
    return await this.run(["/opt/cni/bin/atomicni"], JSON.stringify(config), {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: call.netns ?? `/run/netns/${id}`,
      CNI_IFNAME: call.ifname ?? "eth0",
      CNI_PATH: "/opt/cni/bin",
      ...(call.args !== undefined && { CNI_ARGS: call.args }),
    });
  }

  /** An ADD that has to succeed; returns its result. */
  async add(config: unknown, id: string, call: CniCall = {}): Promise<Json> {
    const { code, stdout } = await this.cni("ADD", config, id, call);
    if (code !== 0) throw new Error(`${this.name}: ADD of ${id}: ${stdout}`);
    return JSON.parse(stdout);
  }

  async del(config: unknown, id: string, call: CniCall = {}): Promise<void> {
    const { code, stdout } = await this.cni("DEL", config, id, call);
    if (code !== 0) throw new Error(`${this.name}: DEL of ${id}: ${stdout}`);
  }

  /** The output of `atomicni host-rules` for a configuration. */
  async hostRules(config: unknown, ...direct: string[]): Promise<string> {
    const command = ["/opt/cni/bin/atomicni", "host-rules", ...direct];
    const { code, stdout, stderr } = await this.run(command, JSON.stringify(config));
    if (code !== 0) throw new Error(`${this.name}: host-rules: ${stderr}`);
    return stdout;
  }

  async pings(id: string, to: string, ...options: string[]): Promise<boolean> {
    const ping = ["busybox", "ping", "-c", "1", "-W", "2", ...options, to];
    return (await this.run(["ip", "netns", "exec", id, ...ping])).code === 0;
  }

  async hostVeths(): Promise<Json[]> {
    return (await this.ip("link", "show", "type", "veth")).filter((it) => isHostVeth(it.ifname));
  }

  /** The addresses of a network by owner, according to the state file. */
  async leases(network: string): Promise<Record<string, string>> {
    const { code, stdout } = await this.run(["cat", `/var/lib/atomicni/${network}.json`]);
    return code === 0 ? JSON.parse(stdout).containerToIP : {};
  }

  /** Tries until `attempt` returns something; then the test fails with the last failure. */
  async until<T>(
    what: string,
    attempt: () => Promise<T | undefined>,
    seconds = 20,
  ): Promise<Found<T>> {
    return await untilWorks(`${this.name}: ${what}`, attempt, seconds);
  }

  /** A page as `wget` gets it inside, once its server answers. */
  async fetch(url: string, ...through: string[]): Promise<string> {
    return await this.until(`fetch ${url}`, async () => {
      const { code, stdout, stderr } = await this.run(
        [...through, "busybox", "wget", "-T", "2", "-qO-", url],
      );
      if (code !== 0) throw new Error(stderr);
      return stdout;
    });
  }

  async report(): Promise<string> {
    const { stdout } = await this.run([
      "sh",
      "-c",
      "ip -br addr; ip route; head -c 3000 /var/lib/atomicni/*.json; iptables-save | head -60; tail -n 12 /run/log/*.log",
    ]);
    return `# ${this.name}\n${stdout}`;
  }
}

/** A test on its own nodes; if it fails, it prints their state. */
export function nodeTest(
  name: string,
  body: (...nodes: [Node, Node]) => Promise<void>,
  names: readonly string[] = ["node"],
): void {
  test(name, async () => {
    await using stack = new AsyncDisposableStack();
    const nodes: Node[] = [];
    for (const it of names) nodes.push(stack.use(await Node.create(it)));
    try {
      await body(...nodes as [Node, Node]);
    } catch (error) {
      const reports = await Promise.all(nodes.map((node) => node.report()));
      if (error instanceof Error) error.message += `\n${reports.join("\n")}`;
      throw error;
    }
  });
}
