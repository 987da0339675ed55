/** A port is closed before it is up, on every way into the bridge. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { until } from "../until.ts";
import { breakIp } from "./broken_ip.ts";
import { GUARDED, readGuard } from "./guarded.ts";
import { CONFIG, type Host, hostTest, type Json } from "./host.ts";

const CLOSED = /learning off .*group_fwd_mask 0xfffd .*locked on/;

/** The kernel's events about links and forwarding entries while `body` runs, in order. */
async function announced(host: Host, body: () => Promise<unknown>): Promise<string[]> {
  const [program = "", ...args] = host.inside("ip", "-d", "-o", "monitor", "link", "neigh");
  const monitor = new Deno.Command(program, { args, stdin: "null", stdout: "piped" }).spawn();
  let text = "";
  const reading = (async () => {
    for await (const piece of monitor.stdout.pipeThrough(new TextDecoderStream())) text += piece;
  })();
  /** Creates and removes a link until the monitor has reported it, with all earlier events. */
  const reports = (name: string) =>
    until(`the monitor reports ${name}`, async () => {
      await host.sh(`ip link add ${name} type bridge; ip link del ${name}`);
      return text.includes(name);
    });
  await reports("begin0");
  await body();
  await reports("end0");
  monitor.kill("SIGKILL");
  await Promise.all([reading, monitor.status]);
  return text.split("\n");
}

interface Moments {
  /** Host veths that were up in the bridge without being closed. */
  readonly open: readonly string[];
  /** Per host veth, the positions of two events: first up in the bridge, and its entry. */
  readonly up: readonly number[];
  readonly entered: readonly number[];
}

function momentsOf(lines: readonly string[], veths: readonly string[]): Moments {
  const ups = lines.map((line) => {
    const [, veth = "", flags = ""] = /^\d+: (av[0-9a-f]{13})@\S+: <(\S*)>/.exec(line) ?? [];
    return line.includes(" bridge_slave ") && /\bUP\b/.test(flags) ? veth : "";
  });
  const open = ups.filter((veth, at) => veths.includes(veth) && !CLOSED.test(lines[at] ?? ""));
  const entry = (veth: string) => new RegExp(`dev ${veth} lladdr 0a:58:\\S+.* NOARP`);
  return {
    open,
    up: veths.map((veth) => ups.indexOf(veth)),
    entered: veths.map((veth) => lines.findIndex((line) => entry(veth).test(line))),
  };
}

async function add(host: Host, ids: readonly string[], config: object = GUARDED) {
  await host.containers(...ids);
  const veths: string[] = [];
  for (const id of ids) veths.push((await host.add({ id, config })).interfaces[1].name);
  return veths;
}

async function masterOf(host: Host, veth: string): Promise<string | undefined> {
  return (await host.ip("", "link", "show", "dev", veth))[0]?.master;
}

hostTest("guard: the port of an ADD is closed before it is up", async (host) => {
  let veths: string[] = [];
  const lines = await announced(host, async () => {
    veths = await add(host, ["c1", "c2"]);
  });
  const { open, up } = momentsOf(lines, veths);
  assertEquals([open, up.includes(-1)], [[], false], lines.join("\n"));
});

/** Saves the host veths just before the first static entry is written, because the events do not contain the flags. */
const KEEP_VETHS =
  `case "$*" in *"-B -batch"*) [ -e /run/veths ] || /run/ip.real -d -j link show type veth >/run/veths ;; esac`;

/** A change by root, and the command that restores the ports. */
const RETURNS: readonly [what: string, damage: string, cure: "ADD" | "repair"][] = [
  ["a bridge that an ADD re-creates", "ip link del dev atomic0", "ADD"],
  ["ports out of the bridge", `for h in $veths; do ip link set dev $h nomaster; done`, "repair"],
  [
    "ports without lock and entry",
    `n=2; for h in $veths; do ip link set dev $h type bridge_slave locked off
      ip -B neigh del any lladdr 0a:58:0a:56:00:0$n dev $h; n=$((n+1)); done`,
    "repair",
  ],
];

for (const [what, damage, cure] of RETURNS) {
  hostTest(`guard: ${what}: all are closed, all have entries, all are up`, async (host) => {
    const veths = await add(host, ["c1", "c2", "c3"]);
    const whole = await readGuard(host, "c1", veths[0] ?? "");
    await host.sh(`veths="${veths.join(" ")}"\n${damage}`);
    await breakIp(host, KEEP_VETHS);
    const lines = await announced(host, async () => {
      if (cure === "ADD") return await add(host, ["c9"]);
      const repaired = await host.program(["repair", "--json"], JSON.stringify(GUARDED));
      assertEquals(repaired.code, 0, repaired.stdout);
    });
    const { open, up, entered } = momentsOf(lines, veths);
    assertEquals([open, [...up, ...entered].includes(-1)], [[], false], lines.join("\n"));
    assert(Math.max(...entered) < Math.min(...up), `entries ${entered}, up ${up}`);
    const kept = JSON.parse(await host.sh("cat /run/veths")) as Json[];
    const then = kept.filter(({ ifname }) => veths.includes(ifname)).map((it) => {
      const { locked, learning, group_fwd_mask } = it.linkinfo.info_slave_data ?? {};
      return [it.flags.includes("UP"), locked, learning, group_fwd_mask];
    });
    assertEquals(then, veths.map(() => [false, true, false, "0xfffd"]));
    const { outside, ...own } = await readGuard(host, "c1", veths[0] ?? "");
    const { outside: before, ...wanted } = whole;
    assertEquals(own, wanted);
    for (const [ip, mac] of Object.entries(before)) assertEquals(outside[ip], mac);
    for (const id of ["c1", "c2", "c3"]) assert(await host.pings(id, CONFIG.gateway), id);
  });
}

hostTest(
  "guard: a port with a lost lease stays out of a bridge that is created again",
  async (host) => {
    const [veth = ""] = await add(host, ["c1"]);
    await host.sh("ip link del dev atomic0; rm /var/lib/atomicni/podnet.*");
    await host.containers("c2");
    const { code, json, stderr } = await host.cni("ADD", { id: "c2", config: GUARDED });
    assertEquals([code, json?.code], [1, 104]);
    assertEquals(await masterOf(host, veth), undefined);
    assertMatch(
      stderr,
      new RegExp(`did not put "${veth}" into "atomic0" again: the network is guarded`),
    );
  },
);

hostTest(
  "guard: the error of one port is reported, and the other ports return",
  async (host) => {
    const veths = (await add(host, ["c1", "c2", "c3"])).sort();
    const [first = "", ...others] = veths;
    await host.sh(veths.map((it) => `ip link set dev ${it} nomaster`).join("\n"));
    await breakIp(
      host,
      `in=$(printf '%s\\n' "$in" | sed 's|^link set dev ${first} .*locked on.*|link set dev nosuch up|')`,
    );
    const repaired = await host.program(["repair", "--json"], JSON.stringify(GUARDED));
    assertEquals(repaired.code, 1, repaired.stdout);
    const wrong = repaired.json.findings.filter(({ level }: Json) => level === "wrong");
    assertEquals(wrong.length, 1, repaired.stdout);
    assertStringIncludes(wrong[0].found, `(${first}): it is not locked`);
    for (const veth of others) assert((await readGuard(host, "c1", veth)).locked);
    const [link] = await host.ip("", "link", "show", "dev", first);
    assertEquals(link.flags.includes("UP"), false, "a port that could not be locked is open");
  },
);
