import { pause } from "../../../lib/base/deadline.ts";
import { BRIDGE } from "./network.ts";
import { COPY, EVE, type Stage } from "./stage.ts";

/** Something that happens while the attacker sends. */
export interface Moment {
  readonly name: string;
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

async function wearMac({ host, attached }: Stage): Promise<void> {
  const mac = attached.get("bob/eth0")?.mac;
  await host.sh(`ip -n ${EVE} link set dev eth0 address ${mac}`);
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
