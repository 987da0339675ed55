/** A port enters the bridge while its container constantly sends frames from a neighbour's MAC. */
import { assert, assertEquals } from "@std/assert";
import { type Host, hostTest } from "../integration/host.ts";
import { Agent } from "./agent.ts";
import { newMark, TRIES } from "./attack.ts";
import { pause } from "../../lib/base/deadline.ts";
import { datagram, type Frame, lldp } from "./frames.ts";
import { recordFinding } from "./finding.ts";
import { SIZE } from "../size.ts";
import { NETWORK, Scene } from "./scene.ts";

const TURNS = SIZE === "full" ? 10 : 3;

/** Frames from bob's MAC that make a bridge learn. */
function lies(scene: Scene): Frame[] {
  const { mac: from, ip4: source } = scene.at("bob");
  const to = "02:ff:ff:ff:ff:fe";
  const mark = newMark("lie");
  return [lldp(from), datagram({ from, to, source, destination: NETWORK.gateway, mark })];
}

async function assertBobReached(scene: Scene, what: string): Promise<void> {
  const { mac, hostVeth } = scene.at("bob");
  const entries = await scene.host.ip("", "-B", "neigh", "show", "nud", "noarp");
  const at = entries.filter(({ lladdr }) => lladdr === mac).map(({ dev }) => dev);
  assertEquals(at, [hostVeth], what);
  const mark = newMark("bob-host");
  await scene.agent("bob").talk({ [NETWORK.gateway]: mark }, TRIES);
  assertEquals((await scene.agent("host").sees(mark, TRIES)).own, TRIES, what);
}

/** Eve sends forged frames as fast as possible while `body` runs; returns their number. */
async function underFire(scene: Scene, body: () => Promise<unknown>): Promise<number> {
  const [frames, eve] = [lies(scene), scene.agent("eve")];
  let [more, sent] = [true, 0];
  const hasty = (async () => {
    while (more) sent += await eve.haste(frames, 0.2);
  })();
  try {
    await pause(100);
    await body();
    await pause(100);
  } finally {
    more = false;
    await hasty;
  }
  return sent;
}

/** Changes by root before `repair`; `$e` is the host veth of eve, `$b` that of bob. */
const DAMAGES = [
  "ip link set dev $e nomaster",
  "ip link set dev $e nomaster; ip link set dev $b nomaster",
  "ip link set dev $e type bridge_slave locked off learning on",
];

for (const damage of DAMAGES) {
  hostTest(`under fire: repair after: ${damage}`, async (host) => {
    await using scene = await Scene.create(host, { name: "fire", guard: true });
    const [bob, eve] = [scene.at("bob"), scene.at("eve")];
    for (let turn = 1; turn <= TURNS; turn++) {
      const sent = await underFire(scene, async () => {
        await host.sh(`e=${eve.hostVeth} b=${bob.hostVeth}; ${damage}`);
        const { code, stdout } = await host.program(["repair"], JSON.stringify(scene.config()));
        assertEquals(code, 0, stdout);
      });
      assert(sent > 100, `only ${sent} forged frames were sent`);
      await assertBobReached(scene, `after repair, turn ${turn}`);
    }
    recordFinding({
      measure: `repair under fire after: ${damage}`,
      value: `bob reached in ${TURNS} of ${TURNS} turns`,
    });
  });
}

/** A container with NET_ADMIN sets its new end up at once, before the ADD does. */
async function setUpAtOnce(host: Host, ifname: string, body: () => Promise<void>): Promise<void> {
  const loop = `while [ ! -e /run/over ]; do ip -n eve link set dev ${ifname} up 2>/dev/null; done`;
  const looping = host.run(["sh", "-c", loop]);
  try {
    await body();
  } finally {
    await host.sh(": >/run/over");
    await looping;
    await host.sh("rm /run/over");
  }
}

hostTest("under fire: a second interface of the attacker", async (host) => {
  await using scene = await Scene.create(host, { name: "second", guard: true });
  for (let turn = 1; turn <= TURNS; turn++) {
    const ifname = `eth${turn}`;
    const config = { ...scene.config(), ipam: { routes: [] } };
    await using agent = await Agent.start(host, "eve", ifname, "early");
    const hasty = agent.haste(lies(scene), 0.5);
    await setUpAtOnce(host, ifname, async () => {
      await host.add({ id: "eve", ifname, config });
    });
    assert(await hasty > 50, "too few forged frames were sent");
    await assertBobReached(scene, `after an ADD, turn ${turn}`);
  }
  recordFinding({
    measure: "an ADD of a second interface under fire",
    value: `bob reached in ${TURNS} of ${TURNS} turns`,
  });
});
