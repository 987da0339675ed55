import { pause } from "../../../lib/base/deadline.ts";
import { BRIDGE, forcing, GATEWAY, type Network } from "./network.ts";
import { COPY, EVE, PEOPLE, type Stage } from "./stage.ts";

/** Something that happens while the attacker sends. */
export interface Moment {
  readonly name: string;
  /** The networks in which it can happen; all without it. */
  readonly fits?: (network: Network) => boolean;
  /** Runs before the attacker begins. */
  readonly prepare?: (stage: Stage) => Promise<void>;
  /** `wait`: milliseconds between the two halves of one event. */
  readonly run?: (stage: Stage, wait: number) => Promise<void>;
  /** The network has changed, so nothing may follow. */
  readonly isLast?: boolean;
}

/** Codes of an ADD that finds no free address, or whose address is not free yet. */
const FULL = [101, 102];

async function takeOut(stage: Stage): Promise<void> {
  const ports = [...stage.attached.values()].map(({ veth }) => `link set dev ${veth} nomaster`);
  await stage.host.sh(`ip -batch - <<X\n${ports.join("\n")}\nX`);
  const answer = await stage.check("bob");
  if (answer.code === 0) {
    stage.fail("CHECK accepts a port that is out of its bridge", answer);
  }
}

async function wearMac({ host, attached }: Stage, id = "bob"): Promise<void> {
  const mac = attached.get(`${id}/eth0`)?.mac;
  await host.sh(`ip -n ${EVE} link set dev eth0 address ${mac}`);
}

/** With CAP_NET_ADMIN, the attacker has a neighbour's MAC and address while root works, and gives them back. */
async function impersonate(stage: Stage): Promise<void> {
  const { host, attached } = stage;
  const addresses = (attached.get("bob/eth0")?.ips ?? []).map((ip) => `${ip} dev eth0`);
  const change = (verb: string) =>
    host.sh(addresses.map((it) => `ip -n ${EVE} addr ${verb} ${it}`).join("\n"));
  await wearMac(stage);
  await change("add");
  await stage.repair();
  await stage.collect();
  if ((await stage.check(EVE)).code === 0) {
    stage.complaint ??= { kind: "CHECK accepts another MAC", about: EVE };
  }
  await change("del");
  await wearMac(stage, EVE);
}

/** Root gives the bridge another address. A forced ADD that fails, and one that works, both leave the gateway. */
async function force(stage: Stage): Promise<void> {
  const swap = `ip addr del ${
    GATEWAY[4]
  }/24 dev ${BRIDGE}; ip addr add 10.86.0.77/24 dev ${BRIDGE}`;
  const more = forcing(stage.network);
  await stage.host.sh(swap);
  await stage.add("yan", "eth0", FULL, more);
  await stage.del("zoe", "eth0");
  await stage.add("zoe", "eth0", [], more);
}

export const MOMENTS: readonly Moment[] = [
  { name: "nothing" },
  { name: "an ADD", prepare: (it) => it.free(), run: (it) => it.add("zoe", "eth0") },
  { name: "a DEL", prepare: (it) => it.fill(), run: (it) => it.del("zoe", "eth0") },
  {
    name: "a CHECK",
    run: async (it) => {
      const answer = await it.check("bob");
      if (answer.code !== 0) it.fail("CHECK of an honest container fails", answer);
    },
  },
  { name: "repair", run: (it) => it.repair() },
  { name: "a GC", run: (it) => it.collect() },
  {
    name: "a DEL and an ADD",
    prepare: (it) => it.fill(),
    run: async (it, wait) => {
      const ended = it.del("zoe", "eth0");
      await pause(wait);
      await Promise.all([ended, it.add("yan", "eth0", FULL)]);
    },
  },
  {
    name: "a GC and an ADD",
    prepare: async (it) => {
      await it.fill();
      it.attached.delete("zoe/eth0");
    },
    run: async (it, wait) => {
      const ended = it.collect(["yan/eth0"]);
      await pause(wait);
      await Promise.all([ended, it.add("yan", "eth0", FULL)]);
    },
  },
  {
    name: "a second interface of the attacker",
    prepare: (it) => it.free(),
    run: (it) => it.add(EVE, "net1"),
  },
  {
    name: "ports out of the bridge, and repair",
    run: async (it) => {
      await takeOut(it);
      await it.repair();
    },
  },
  {
    name: "the bridge down and up, an ADD, and repair",
    prepare: (it) => it.free(),
    run: async (it) => {
      await it.host.sh(`ip link set dev ${BRIDGE} down; ip link set dev ${BRIDGE} up`);
      await it.add("zoe", "eth0");
      await it.repair();
    },
  },
  {
    name: "the bridge deleted, and an ADD",
    prepare: (it) => it.free(),
    run: async (it) => {
      await it.host.sh(`ip link del dev ${BRIDGE}`);
      await it.add("zoe", "eth0");
    },
  },
  { name: "the attacker has a neighbour's MAC and address, repair, and a GC", run: impersonate },
  {
    name: "another address of the bridge, and ADDs with forceAddress",
    fits: ({ families }) => families.includes(4),
    prepare: (it) => it.fill(),
    run: force,
  },
  {
    name: "the guard switched on, and each container started again",
    fits: ({ guard }) => !guard,
    run: async (it) => {
      it.network = { ...it.network, guard: true };
      await it.free();
      // `doctor` says that a container gets the guard when it starts again.
      for (const id of PEOPLE.slice(0, 3)) {
        await it.del(id, "eth0");
        await it.add(id, "eth0");
      }
      // A port that was not guarded yet may have moved the static entry of one that was.
      await it.repair();
      // The host keeps entries of addresses that no container has.
      await it.host.sh(`ip neigh flush dev ${BRIDGE}`);
    },
  },
  {
    name: "an older state, the neighbour's MAC set, and repair",
    run: async (it) => {
      await wearMac(it);
      await it.host.sh(`cp -p ${COPY} /var/lib/atomicni/podnet.json`);
      it.stateIsLost = true;
      await it.repair(true);
    },
    isLast: true,
  },
  {
    name: "no state, the neighbour's MAC set, and repair",
    run: async (it) => {
      await wearMac(it);
      await it.host.sh("rm /var/lib/atomicni/podnet.json");
      it.stateIsLost = true;
      await it.repair(true);
    },
    isLast: true,
  },
];

/**
 * Whether root takes ports out of the bridge. There the lock does not apply: the host reads their frames at the
 * port.
 */
export function takesPortsOut(name: string): boolean {
  return /out of the bridge|deleted/.test(name);
}

export function momentOf(name: string): Moment {
  const found = MOMENTS.find((it) => it.name === name);
  if (found === undefined) throw new Error(`no such moment: ${name}`);
  return found;
}
