import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { STATE_WORDS, type StateWord } from "../../lib/cli/state_words.ts";
import { CONFIG, type Host, hostTest, type Json, STATE_FOLDER } from "../integration/host.ts";
import { hide } from "./containers.ts";

const { cniVersion, type } = CONFIG;
const LAYER2 = { cniVersion, name: "podnet", type, bridge: "atomic0", ipam: {} };
const GUARDED = { ...CONFIG, macspoofchk: true };
const FILE = `${STATE_FOLDER}/podnet.json`;

/** A way to bring the attachment c1/eth0 into a state; `$V` is its host veth. c2 is attached too, and unchanged. */
interface Row {
  readonly name: string;
  readonly given: string;
  readonly config?: Json;
  readonly state: StateWord;
  /** The network's state file is lost. */
  readonly isLost?: true;
  /** c2 is in the same state. */
  readonly isBoth?: true;
}

const UNNAMED = `${hide("c1")}; ${hide("c2")}`;

const ROWS: readonly Row[] = [
  { name: "as the ADD left it", given: ":", state: "live" },
  { name: "guarded", given: ":", config: GUARDED, state: "live" },
  { name: "without addresses", given: ":", config: LAYER2, state: "layer 2", isBoth: true },
  {
    name: "without addresses, in a namespace without a name",
    given: UNNAMED,
    config: LAYER2,
    state: "layer 2",
    isBoth: true,
  },
  { name: "out of its bridge", given: "ip link set dev $V nomaster", state: "cut off" },
  {
    name: "in another bridge",
    given: "ip link add br9 type bridge; ip link set dev br9 up; ip link set dev $V master br9",
    state: "cut off",
  },
  { name: "its port down", given: "ip link set dev $V down", state: "cut off" },
  {
    name: "its bridge down",
    given: "ip link set dev atomic0 down",
    state: "cut off",
    isBoth: true,
  },
  { name: "its bridge gone", given: "ip link del dev atomic0", state: "cut off", isBoth: true },
  {
    name: "without addresses, out of its bridge",
    given: "ip link set dev $V nomaster",
    config: LAYER2,
    state: "cut off",
  },
  {
    name: "guarded, the port unlocked",
    given: "ip link set dev $V type bridge_slave locked off",
    config: GUARDED,
    state: "unguarded",
  },
  { name: "the host veth gone", given: "ip link del dev $V", state: "stale" },
  {
    name: "the state file lost",
    given: `rm ${FILE}`,
    state: "no lease",
    isLost: true,
    isBoth: true,
  },
  {
    name: "the state file lost, and the container without its address",
    given:
      `rm ${FILE}; ip -n c1 addr flush dev eth0; ip -n c1 link set dev eth0 address 02:00:00:00:00:01`,
    state: "no lease",
    isLost: true,
    isBoth: true,
  },
  {
    name: "the state folder emptied, in a namespace without a name",
    given: `${UNNAMED}; rm ${STATE_FOLDER}/*`,
    state: "no lease",
    isLost: true,
    isBoth: true,
  },
  {
    name: "of another ADD, without the address",
    given: `ip -n c1 addr flush dev eth0; ip link set dev $V address fe:00:00:00:00:02`,
    state: "superseded",
  },
  {
    name: "two veths with its MAC",
    given: `mac=$(cat /sys/class/net/$V/address 2>/dev/null || ip -j link show dev $V |
      grep -o '"address":"[^"]*"' | cut -d'"' -f4)
      ip netns add c9; ip link add x9 address $mac type veth peer name eth0 netns c9
      ip link set dev x9 master atomic0 up; ip link set dev $V name x1; ip link set dev x1 alias ''`,
    state: "undecided",
  },
];

const wordOf = (it: Json) => [it.containerId, it.state];

for (const { name, given, config = CONFIG, state, isLost, isBoth } of ROWS) {
  hostTest(`every command calls an attachment ${state}: ${name}`, async (host) => {
    await host.containers("c1", "c2");
    const { interfaces } = await host.add({ id: "c1", config });
    await host.add({ id: "c2", config });
    await host.sh(`V=${interfaces[1].name}; ${given}`);
    const isWell = STATE_WORDS[state].length === 1;
    const exit = isWell ? 0 : 1;

    const listed = await host.program(["list", "--json"], "");
    const words = listed.json.attachments.map(wordOf);
    const other = isBoth ? state : config === LAYER2 ? "layer 2" : "live";
    assertEquals(words.sort(), [["c1", state], ["c2", other]], listed.stdout);
    const people = await host.program(["list"], "");
    assertEquals([listed.code, people.code], [exit, exit]);
    assertEquals(
      people.stdout.trimEnd().split("\n").filter((line) => line.endsWith(`  ${state}`)).length,
      words.filter(([, word]: string[]) => word === state).length,
      people.stdout,
    );

    const explained = await host.program(["explain", "c1"], "");
    assertEquals(explained.code, exit, explained.stdout);
    assertStringIncludes(explained.stdout, `Its state is ${state}: `);
    const both = await host.program(["explain", "c2"], "");
    assertEquals(both.code, isBoth ? exit : 0, both.stdout);

    const shown = await host.program(["status", "--json"], "");
    assertEquals(shown.code, exit, shown.stdout);
    const [network] = shown.json.networks;
    assertEquals(network.attachments[state], isBoth ? 2 : isWell && other === state ? 2 : 1);
    const count = `${isBoth ? 2 : 1} ${state}`;
    assertEquals(network.state, isWell ? "ok" : isLost ? `no state file, ${count}` : count);
    const { stdout } = await host.program(["status", "--metrics"], "");
    assertStringIncludes(
      stdout,
      `atomicni_attachments{network="podnet",state="${state}"} ${network.attachments[state]}\n`,
    );
    if (config !== LAYER2) {
      const value = isLost ? 0 : 1;
      assertStringIncludes(
        stdout,
        `atomicni_state_readable{network="podnet",folder="${STATE_FOLDER}"} ${value}\n`,
      );
    }
    await assertDoctor(host, config, state, isWell);
  });
}

/** Asserts that doctor has a finding about the state, and none about live attachments. */
async function assertDoctor(host: Host, config: Json, state: StateWord, isWell: boolean) {
  const { json } = await host.program(["doctor", "--json"], JSON.stringify(config));
  const abouts = ["leases", "ports", "veths", "guard", "state"];
  const found = json.findings.filter((it: Json) => abouts.includes(it.about) && it.level !== "ok");
  if (isWell) return assertEquals(found, []);
  assert(found.length > 0, JSON.stringify(json.findings));
  const all = found.map((it: Json) => it.found).join("\n");
  assert(all.includes(state) || all.includes("c1"), all);
}

hostTest(
  "an ADD in progress is starting, with and without a lease, and needs no look",
  async (host) => {
    await host.containers("c1", "c2");
    const { interfaces: [, { name }] } = await host.add({ id: "c1" });
    await host.add({ id: "c2" });
    await host.sh(`ip link set dev ${name} nomaster down`);
    const mark = `${STATE_FOLDER}/.podnet.${name}.add`;
    const during = async (...args: string[]) => {
      const finished = host.run([
        "flock",
        mark,
        "sh",
        "-c",
        "mkfifo /run/over; read x < /run/over",
      ]);
      while (
        (await host.run(["test", "-p", "/run/over"])).code !== 0
      ) { /* it makes it with the lock held */ }
      const report = await host.program(args, "");
      await host.sh("echo > /run/over; rm /run/over");
      await finished;
      return report;
    };
    const withLease = await during("list", "--json");
    assertEquals([withLease.code, ...withLease.json.attachments.map(wordOf)], [
      0,
      ["c1", "starting"],
      ["c2", "live"],
    ]);
    // The ADD has not written its lease yet.
    const state = JSON.parse(await host.sh(`cat ${FILE}`));
    delete state.containerToIP["c1/eth0"];
    delete state.ipToContainer["10.86.0.2"];
    delete state.leases["c1/eth0"];
    await host.run(["tee", FILE], JSON.stringify(state));
    const without = await during("list", "--json");
    assertEquals([without.code, ...without.json.attachments.map(wordOf)], [
      0,
      ["c2", "live"],
      ["c1", "starting"],
    ]);
    // The mark of a killed ADD does not hide the attachment.
    const killed = await host.program(["list", "--json"], "");
    assertEquals([killed.code, ...killed.json.attachments.map(wordOf)], [
      1,
      ["c2", "live"],
      ["c1", "no lease"],
    ]);
  },
);
