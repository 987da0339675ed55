import { assert, assertEquals, assertMatch } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json } from "./host.ts";

/**
 * Sends one router advertisement to all nodes as a raw frame: lifetime 1800 s and the prefix fd77::/64. This is the
 * attack of CVE-2020-10749. With `options`, the message follows a destination options header; with other arguments,
 * the frame has these VLAN tags. A kernel accepts tags of VLAN 0 as if the frame had none.
 */
const SEND = `
import socket, struct, sys
device, options, tags = sys.argv[1], "options" in sys.argv, "".join(sys.argv[2:]).replace("options", "")
source = bytes.fromhex("fe8000000000000000000000000bad00")
target = bytes.fromhex("ff020000000000000000000000000001")
prefix = struct.pack("!BBBBIII16s", 3, 4, 64, 0xc0, 3600, 3600, 0, bytes.fromhex("fd77" + "00" * 14))
def message(checksum):
    return struct.pack("!BBHBBHII", 134, 0, checksum, 64, 0, 1800, 0, 0) + prefix
def total(data):
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while s >> 16: s = (s & 0xffff) + (s >> 16)
    return s
pseudo = source + target + struct.pack("!II", len(message(0)), 58)
body = message(~total(pseudo + message(0)) & 0xffff)
extension = struct.pack("!BBBBI", 58, 0, 1, 4, 0) if options else b""
head = struct.pack("!IHBB", 0x60000000, len(extension) + len(body), 60 if options else 58, 255)
ethernet = bytes.fromhex("333300000001" + "0200000bad00" + tags + "86dd")
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((device, 0))
raw.send(ethernet + head + source + target + extension + body)
`;
const PLAIN: readonly string[] = [];
const FORMS: readonly [name: string, words: readonly string[]][] = [
  ["unchanged", PLAIN],
  ["after a destination options header", ["options"]],
  ["with a priority tag", ["81000000"]],
  ["with two priority tags", ["88a80000", "81000000"]],
];

async function advertise(host: Host, from: string, device: string, words = PLAIN): Promise<void> {
  const command = ["ip", "netns", "exec", from, "/usr/bin/python3", "-c", SEND, device, ...words];
  const { code, stderr } = await host.run(command);
  assertEquals(code, 0, stderr);
}

/** Whether a namespace has accepted a route or an address from an advertisement. */
async function isTaken(host: Host, namespace: string): Promise<boolean> {
  const at = namespace === "" ? [] : ["-n", namespace];
  const routes = await host.run(["ip", ...at, "-6", "route", "show", "proto", "ra"]);
  const { stdout } = await host.run(["ip", ...at, "-6", "addr", "show", "dynamic"]);
  return routes.stdout.trim() !== "" || stdout.trim() !== "";
}

/** Sends until it is accepted, five times at most. */
async function isTakenBy(
  host: Host,
  namespaces: readonly string[],
  words = PLAIN,
): Promise<boolean[]> {
  let taken: boolean[] = [];
  for (let tries = 0; tries < 5; tries++) {
    await advertise(host, "c1", "eth0", words);
    await host.sh("sleep 0.15");
    taken = await Promise.all(namespaces.map((it) => isTaken(host, it)));
    if (taken.every((it) => it)) break;
  }
  return taken;
}

/** Two containers. They and the host accept advertisements, as kernels do by default. */
async function node(host: Host): Promise<void> {
  await host.containers("c1", "c2");
  for (const id of ["c1", "c2"]) await host.add({ id });
}

async function hostRules(host: Host): Promise<string> {
  const { code, stdout, stderr } = await host.program(["host-rules"], JSON.stringify(CONFIG));
  assertEquals(code, 0, stderr);
  return stdout;
}

async function deployed(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(`../../deploy/${name}`, import.meta.url));
}

const RULES: readonly [name: string, text: (host: Host) => Promise<string>][] = [
  ["host-rules", hostRules],
  ["deploy/atomicni.nft", () => deployed("atomicni.nft")],
];

for (const [name, text] of RULES) {
  for (const [form, words] of FORMS) {
    hostTest(
      `a container's router advertisement, ${form}, reaches host and neighbours without rules; ${name} stops it`,
      async (host) => {
        await node(host);
        const load = ["nft", "-f", "-"];
        const rules = await text(host);
        assertMatch(rules, /^table bridge /m, "no rule for frames that stay on the bridge");
        const loaded = await host.run(load, rules);
        assertEquals(loaded.code, 0, loaded.stderr);
        assertEquals(await isTakenBy(host, ["", "c2"], words), [false, false]);
        // Loading the rules twice changes nothing, and containers still reach each other and the gateway.
        assertEquals((await host.run(load, rules)).code, 0);
        assert(await host.pings("c1", "10.86.0.3"));
        assert(await host.pings("c1", CONFIG.gateway));
        // Proof that the rules stopped it: without them, both accept it.
        await host.sh("nft flush ruleset");
        assertEquals(await isTakenBy(host, ["", "c2"], words), [true, true]);
      },
    );
  }

  hostTest(
    `${name}: an advertisement from another interface than the bridge is still accepted`,
    async (host) => {
      await node(host);
      await host.containers("router1", "router2");
      // An uplink, and an interface that is a port of another bridge.
      await host.sh(`ip link add uplink1 up type veth peer name eth0 netns router1
      ip link add lan0 up type bridge
      ip link add uplink2 master lan0 up type veth peer name eth0 netns router2
      for it in router1 router2; do ip -n $it link set eth0 up; done`);
      const { code, stderr } = await host.run(["nft", "-f", "-"], await text(host));
      assertEquals(code, 0, stderr);
      for (const [router, device] of [["router1", "uplink1"], ["router2", "lan0"]] as const) {
        let routes = "";
        for (let tries = 0; tries < 10 && routes === ""; tries++) {
          await advertise(host, router, "eth0");
          await host.sh("sleep 0.2");
          routes = await host.sh(`ip -6 route show proto ra dev ${device}`);
        }
        assertMatch(routes, /default/, `nothing is accepted from ${device}`);
      }
    },
  );
}

hostTest(
  "with deploy/atomicni.sysctl the host does not accept a container's router advertisement",
  async (host) => {
    await node(host);
    const lines = (await deployed("atomicni.sysctl")).matchAll(
      /^-?(net[./]ipv6[./]conf[./](\S+)[./]accept_ra)\s*=\s*(\d)$/gm,
    );
    const settings = [...lines].map(([, key = "", device, value]) => ({ key, device, value }));
    assert(
      settings.some((it) => it.device === CONFIG.bridge),
      "no accept_ra that names the bridge",
    );
    for (const { key, device, value } of settings) {
      if (device !== CONFIG.bridge) continue;
      await host.sh(`echo ${value} >/proc/sys/${key.replaceAll(".", "/")}`);
    }
    assertEquals(await isTakenBy(host, [""]), [false]);
    await host.sh(`echo 1 >/proc/sys/net/ipv6/conf/${CONFIG.bridge}/accept_ra`);
    assertEquals(await isTakenBy(host, [""]), [true], "nothing had to be stopped");
  },
);

hostTest(
  "doctor reports the effect of a container's router advertisement on the host",
  async (host) => {
    await node(host);
    const warnings = async () => {
      const { stdout } = await host.program(["doctor"], JSON.stringify(CONFIG));
      return stdout.split("\n").filter((line) => /^(warning|error)\b/.test(line)).join("\n");
    };
    const symptom = /router advertisement|proto ra/i;
    assert(!symptom.test(await warnings()), "reported although nothing was sent");
    assertEquals(await isTakenBy(host, [""]), [true]);
    assertMatch(await warnings(), symptom);
    // Its remedy removes all of it.
    const { json } = await host.program(["doctor", "--json"], JSON.stringify(CONFIG));
    const { remedy } = json.findings.find((it: Json) => it.about === "router");
    await host.sh(remedy.replace(/; then load .*/, ""));
    assert(!symptom.test(await warnings()), remedy);
    const left = await host.sh("ip -6 addr; ip -6 route show table all");
    assert(!left.includes("fd77"), left);
    assert(await host.pings("c1", CONFIG.gateway));
  },
);
