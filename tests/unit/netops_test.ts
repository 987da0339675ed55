import { assertEquals, assertRejects } from "@std/assert";
import { CniError } from "../lib/errors.ts";
import type { IpOutput, RunIp } from "../lib/ip.ts";
import { freshMac, parseInterfaceName } from "../lib/names.ts";
import { IpKernel, type PlugSpec } from "../lib/netops.ts";
import { Rollback } from "../lib/rollback.ts";
import { BR0 } from "./br0.ts";

const SPEC: PlugSpec = {
  bridge: BR0,
  host: parseInterfaceName("av0123456789abc"),
  hostMac: freshMac(),
  alias: "podnet/c1/eth0",
  netns: "/run/netns/c1",
  ifname: parseInterfaceName("eth0"),
  hairpin: true,
  isolated: false,
};

/** An `ip` that takes too long at its first call and lists one host veth, of that MAC, afterwards. */
function overdue(mac: string): { calls: string[]; run: RunIp } {
  const calls: string[] = [];
  const run: RunIp = (args) => {
    calls.push(args.join(" "));
    if (calls.length === 1) return Promise.reject(new CniError(11, "Cannot wait longer"));
    const links = [{ ifindex: 7, ifname: SPEC.host, address: mac }];
    return Promise.resolve(answer(args.includes("show") ? JSON.stringify(links) : ""));
  };
  return { calls, run };
}

function answer(stdout: string): IpOutput {
  return { argv: ["ip"], success: true, status: 0, signal: null, stdout, stderr: "" };
}

Deno.test("plug() that ran out of time takes back the veth if it is this run's", async () => {
  const rows: [string, string[]][] = [
    [SPEC.hostMac, ["-d -j -batch -", "-d -j addr show", "link del dev if7"]],
    [freshMac(), ["-d -j -batch -", "-d -j addr show"]],
  ];
  for (const [mac, expected] of rows) {
    const { calls, run } = overdue(mac);
    const undo = new Rollback();
    const plug = () => new IpKernel(run).plug(SPEC, undo);
    const error = await undo.run(await assertRejects(plug, CniError, "Cannot wait longer"));
    assertEquals([error.code, error.details], [11, ""]);
    assertEquals(calls, expected);
  }
});

Deno.test("plug() is one batch where the bridge stands", async () => {
  const calls: [string, string | undefined][] = [];
  const veth = { ifindex: 7, ifname: SPEC.host, address: SPEC.hostMac, link_netnsid: 0, mtu: 1500 };
  const bridge = {
    ifname: "br0",
    flags: ["UP"],
    linkinfo: { info_kind: "bridge" },
    addr_info: [{ family: "inet", local: "10.88.0.1", prefixlen: 24 }],
  };
  const run: RunIp = (args, stdin) => {
    calls.push([args.join(" "), stdin]);
    return Promise.resolve(answer(`${JSON.stringify([veth])}\n${JSON.stringify([bridge])}\n`));
  };
  const { host } = await new IpKernel(run).plug(SPEC, new Rollback());
  assertEquals(host.ifname, SPEC.host);
  assertEquals(calls, [[
    "-d -j -batch -",
    [
      `link add name ${SPEC.host} address ${SPEC.hostMac} mtu 1500 master br0 up type veth ` +
      "peer name eth0 mtu 1500 netns /run/netns/c1",
      `addr show dev ${SPEC.host}`,
      `link set dev ${SPEC.host} alias podnet/c1/eth0`,
      `link set dev ${SPEC.host} type bridge_slave hairpin on`,
      "addr show dev br0",
      "",
    ].join("\n"),
  ]]);
});

Deno.test("unplug() is success where nothing is left, and an error where it is", async () => {
  const failing = (links: unknown[]): RunIp => (_args, stdin) =>
    Promise.resolve(
      stdin?.startsWith("link del")
        ? { ...answer(""), success: false, status: 1, stderr: "no" }
        : answer(JSON.stringify(links)),
    );
  await new IpKernel(failing([])).unplug(SPEC.host);
  const stays = () => new IpKernel(failing([{ ifname: SPEC.host }])).unplug(SPEC.host);
  assertEquals((await assertRejects(stays, CniError, "Cannot remove")).code, 100);
});
