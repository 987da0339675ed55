import { assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { hold, type Json, objects, run } from "../integration/host.ts";
import { until } from "../until.ts";

const GENERATOR = fromFileUrl(new URL("../../deploy/frr-bgp", import.meta.url));
const REFLECTORS = ["192.0.2.1,2001:db8::1", "192.0.2.2,2001:db8::2"];

const SETUP = `
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/frr /run/conf
mount -t tmpfs tmpfs /etc/frr
mount -t tmpfs tmpfs /var/lib/frr
chown frr:frr /run/frr /var/lib/frr
ip link add name wire type bridge
ip link set dev wire up
ip link set dev lo up
echo ready
exec sleep infinity`;

/** The role of a member of the fabric: a reflector, or a node by its number. */
export type Member = `r${number}` | `n${number}`;

/** A member's addresses of both families, separated by a comma. */
function addresses(member: Member): string {
  const number = Number(member.slice(1)) + (member.startsWith("n") ? 10 : 0);
  return `192.0.2.${number},2001:db8::${number.toString(16)}`;
}

/** Nodes and two route reflectors with FRR, each a network namespace on one wire. */
export class Fabric implements AsyncDisposable {
  readonly #holder: Deno.ChildProcess;
  readonly nodes: readonly Member[];

  private constructor(holder: Deno.ChildProcess, nodes: readonly Member[]) {
    this.#holder = holder;
    this.nodes = nodes;
  }

  static async create(count: number): Promise<Fabric> {
    const holder = await hold(["-mnp", "--fork", "--kill-child=KILL", "--mount-proc"], SETUP);
    const nodes = Array.from({ length: count }, (_, index): Member => `n${index + 1}`);
    const fabric = new Fabric(holder, nodes);
    for (const member of ["r1", "r2", ...nodes] as Member[]) await fabric.#make(member);
    return fabric;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#holder.kill("SIGKILL");
    await this.#holder.status;
  }

  async sh(script: string, stdin = ""): Promise<string> {
    const children = `/proc/${this.#holder.pid}/task/${this.#holder.pid}/children`;
    const pid = (await Deno.readTextFile(children)).trim();
    const enter = ["nsenter", "-t", pid, "-m", "-n", "-p", "--", "sh", "-ec", script];
    const { code, stdout, stderr } = await run(enter, stdin);
    if (code !== 0) throw new Error(`${script}: exit ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /** The ranges of a node, as a controller assigns them. */
  ranges(node: Member): readonly [string, string] {
    const number = Number(node.slice(1));
    return [`10.244.${number}.0/24`, `fd00:10:244:${number.toString(16)}::/64`];
  }

  /** An address of each range of a node, as a pod has it. */
  #pods(node: Member): readonly [string, string] {
    const [range, range6] = this.ranges(node);
    return [range.replace("0/24", "1"), range6.replace("/64", "1")];
  }

  /** Writes the member's configuration with the generator, and connects it. */
  async #make(member: Member): Promise<void> {
    const own = addresses(member);
    const [ip = "", ip6 = ""] = own.split(",");
    const words = member.startsWith("n")
      ? ["node", own, REFLECTORS.join(","), ...this.ranges(member)]
      : ["reflector", own, this.nodes.map(addresses).join(",")];
    const { code, stdout, stderr } = await run(["sh", GENERATOR, ...words]);
    if (code !== 0) throw new Error(stderr);
    await this.sh(
      `
cat >/run/conf/${member}
mkdir -p /run/frr/${member} && chown frr:frr /run/frr/${member}
ip netns add ${member}
ip link add name ${member} master wire type veth peer name eth0 netns ${member}
ip link set dev ${member} up
ip -n ${member} link set dev lo up
ip -n ${member} addr add ${ip}/24 dev eth0
ip -n ${member} addr add ${ip6}/64 dev eth0 nodad
${
        member.startsWith("n")
          ? `ip -n ${member} addr add ${this.#pods(member)[0]}/32 dev lo
ip -n ${member} addr add ${this.#pods(member)[1]}/128 dev lo`
          : ""
      }
ip -n ${member} link set dev eth0 up`,
      stdout,
    );
  }

  async start(member: Member): Promise<void> {
    await this.sh(`ip link set dev ${member} up`);
    const options = `-d -N ${member} -u frr -g frr --log file:/run/frr/${member}/log`;
    await this.sh(`
: >/run/conf/empty
nsenter --net=/run/netns/${member} /usr/lib/frr/zebra ${options} -f /run/conf/empty -K 60 </dev/null >/dev/null 2>&1`);
    await this.bgp(member);
  }

  /** Starts bgpd; without graceful restart, if that is wanted. */
  async bgp(member: Member, isGraceful = true): Promise<void> {
    await this.sh(`
sed '${isGraceful ? "" : "/graceful-restart/d"}' /run/conf/${member} >/run/frr/${member}/conf
rm -f /run/frr/${member}/bgpd.pid /run/frr/${member}/bgpd.vty
nsenter --net=/run/netns/${member} /usr/lib/frr/bgpd -d -N ${member} -u frr -g frr --log file:/run/frr/${member}/log \
  -f /run/frr/${member}/conf </dev/null >/dev/null 2>&1`);
  }

  /** The memory of its daemons in MB, with their part of shared pages. */
  async memory(member: Member): Promise<number> {
    const kilobytes = await this.sh(
      `for it in zebra bgpd; do sed -n 's/^Pss: *//p' /proc/$(cat /run/frr/${member}/$it.pid)/smaps_rollup; done`,
    );
    return kilobytes.trim().split("\n").reduce((sum, it) => sum + parseInt(it) / 1024, 0);
  }

  /** Kills one of its daemons, or all. */
  async kill(member: Member, ...daemons: string[]): Promise<void> {
    for (const it of daemons) await this.sh(`kill -9 $(cat /run/frr/${member}/${it}.pid)`);
  }

  /** As a power failure does. */
  async powerOff(member: Member): Promise<void> {
    await this.kill(member, "bgpd", "zebra");
    await this.sh(`
ip link set dev ${member} down
ip -n ${member} nexthop flush >/dev/null 2>&1 || :
for family in -4 -6; do ip -n ${member} $family route flush proto bgp 2>/dev/null || :; done
rm -f /run/frr/${member}/*.pid /run/frr/${member}/*.vty /run/frr/${member}/*.api`);
  }

  /** The ranges of other nodes that a node reaches by BGP. */
  async reached(node: Member): Promise<Set<string>> {
    const routes: Json[] = [];
    for (const family of ["-4", "-6"]) {
      const text = await this.sh(`ip -n ${node} ${family} -j route show proto bgp`);
      routes.push(...objects({ code: 0, stdout: text, stderr: "" }));
    }
    return new Set(routes.map(({ dst }) => dst));
  }

  /** The number of BGP routes of each node, of both families. */
  async counts(): Promise<number[]> {
    const lines = await this.sh(`
for it in ${this.nodes.join(" ")}; do
  { ip -n $it -4 route show proto bgp; ip -n $it -6 route show proto bgp; } | grep -c '^[0-9a-f]' || :
done`);
    return lines.trim().split("\n").map(Number);
  }

  /** The number of a reflector's established sessions, of both families. */
  async sessions(reflector: Member): Promise<number> {
    const text = await this.sh(
      `vtysh -N ${reflector} -d bgpd -c 'show bgp summary established json'`,
    );
    const families: Json[] = Object.values(JSON.parse(text));
    return families.reduce((sum, { peers = {} }) => sum + Object.keys(peers).length, 0);
  }

  /**
   * The seconds in which packets from a pod of one node to a pod of another got no answer during `work`, in the family
   * that lost more.
   */
  async lost(from: Member, to: Member, work: () => Promise<void>): Promise<number> {
    const pods = this.#pods(from).map((source, index) => [source, this.#pods(to)[index]]);
    for (const [index, [source, other]] of pods.entries()) {
      const ping = `nsenter --net=/run/netns/${from} busybox ping -i 0.2 -I ${source} ${other}`;
      await this.sh(
        `setsid sh -c 'while :; do ${ping}; sleep 0.2; done' </dev/null >/run/pings${index} 2>&1 & echo $! >/run/pinger${index}`,
      );
    }
    try {
      await work();
    } finally {
      await this.sh("env kill -KILL -- -$(cat /run/pinger0) -$(cat /run/pinger1)");
    }
    const texts = await Promise.all(pods.map((_, index) => this.sh(`cat /run/pings${index}`)));
    return Math.max(...texts.map(unanswered)) / 5;
  }

  /** Seconds until the condition holds. */
  async until(what: string, holds: () => Promise<boolean>, seconds = 120): Promise<number> {
    const began = performance.now();
    await until(what, holds, seconds);
    return (performance.now() - began) / 1000;
  }
}

/** The number of unanswered packets in the output of `ping`, which ends where there is no route, and is started again. */
function unanswered(text: string): number {
  assertMatch(text, /seq=/);
  let lost = 0, next = 0;
  for (const line of text.split("\n")) {
    const [, seq] = /seq=(\d+)/.exec(line) ?? [];
    if (line.startsWith("PING ")) next = 0;
    if (line.startsWith("ping: ")) lost++;
    if (seq === undefined) continue;
    lost += Math.max(0, Number(seq) - next);
    next = Number(seq) + 1;
  }
  return lost;
}
