import { parseIp } from "../../lib/base/address.ts";
import { macOf } from "../../lib/base/mac.ts";
import { type Answer, CONFIG, type Host, type Json } from "../integration/host.ts";
import { type AddedAttachment, harmed, said } from "./harm.ts";
import { limits } from "./limits.ts";
import { type Complaint, count, kindOf, type Property, shorter } from "./property.ts";
import type { Random } from "../random.ts";
import { look, type World } from "./world.ts";

/** Eight addresses, so that an address that is free too early is soon allocated. */
const NETWORK = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.9" } };
const BOTH = {
  ...NETWORK,
  subnet6: "fd00:88::/64",
  gateway6: "fd00:88::1",
  ipam: { ...NETWORK.ipam, rangeStart6: "fd00:88::2", rangeEnd6: "fd00:88::9" },
};
/** One IPv6 address of a wide range. */
const FAR = {
  ...CONFIG,
  subnet: undefined,
  gateway: undefined,
  subnet6: "fd00:88::/64",
  gateway6: "fd00:88::1",
  ipam: { rangeStart6: "fd00:88::2", rangeEnd6: "fd00:88::ffff:0:ffff" },
};
const NETWORKS = { plain: NETWORK, both: BOTH, far: FAR } as const;

/** Addresses of `FAR` with the same groups in another order. */
const FAR_IPS = ["fd00:88::2", "fd00:88::1:0:3", "fd00:88::1:0:0", "fd00:88::3:0:1"];
const WHO = ["a", "b", "c", "d"] as const;
/** A requested MAC: that of the bridge, of a neighbour, of a free address, or another one. */
const WISHES = ["of the bridge", "of a neighbour", "of a free address", "another"] as const;

interface Step {
  readonly does: "add" | "del";
  readonly who: number;
  readonly mac?: (typeof WISHES)[number];
  readonly ip?: string;
}

interface Case {
  readonly network: keyof typeof NETWORKS;
  readonly guarded: boolean;
  readonly steps: readonly Step[];
}

/**
 * Whatever MACs and addresses are requested, no container gets the MAC of another one or of the bridge, and no ADD
 * of another container fails for this reason.
 */
export const oneMacEach: Property<Case> = {
  name: "one MAC each",
  limits: limits({ short: { cases: 14, seconds: 600 }, full: { cases: 400, seconds: 3600 } }),
  generate: someCase,
  complain: (host, it, under) => new Stage(host, under, it).complaint(),
  *smaller(it) {
    if (it.guarded) yield { ...it, guarded: false };
    for (const steps of shorter(it.steps)) yield { ...it, steps };
  },
  seen: new Map(),
};

function someCase(random: Random): Case {
  const network = random.one(["plain", "both", "far"] as const);
  const step = (): Step => ({
    does: random.chance(0.75) ? "add" : "del",
    who: random.between(0, WHO.length - 1),
    ...random.maybe(0.5, "mac", () => random.one(WISHES)),
    ...(network === "far" && random.maybe(0.5, "ip", () => random.one(FAR_IPS))),
  });
  const steps = Array.from({ length: random.between(4, 9) }, step);
  // The remaining ADDs request nothing.
  const last = WHO.map((_, who): Step => ({ does: "add", who }));
  return { network, guarded: random.chance(0.7), steps: [...steps, ...last] };
}

class Stage {
  readonly #host: Host;
  readonly #under: readonly string[];
  readonly #attached = new Map<string, AddedAttachment>();
  readonly #network: Json;
  readonly #steps: readonly Step[];

  constructor(host: Host, under: readonly string[], { network, guarded, steps }: Case) {
    this.#host = host;
    this.#under = under;
    this.#network = { ...NETWORKS[network], macspoofchk: guarded };
    this.#steps = steps;
  }

  async complaint(): Promise<Complaint | undefined> {
    await this.#host.containers(...WHO);
    for (const it of this.#steps) {
      const id = WHO[it.who] ?? "a";
      if (it.does === "add" && this.#attached.has(id)) continue;
      const found = it.does === "add" ? await this.#add(id, it) : await this.#del(id);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #add(id: string, { mac: wish, ip }: Step): Promise<Complaint | undefined> {
    const asked = wish === undefined ? undefined : await this.#macOf(wish);
    const config = {
      ...this.#network,
      ...(asked !== undefined && { runtimeConfig: { mac: asked } }),
      ...(ip !== undefined && { args: { cni: { ips: [ip] } } }),
    };
    const added = await this.#host.cni("ADD", { id, config, under: this.#under });
    const world = await look(this.#host);
    if (added.code !== 0) {
      const { code, msg = "" } = added.json ?? {};
      count(oneMacEach.seen, "ADDs that are refused");
      if (code !== 102 || (asked === undefined && ip === undefined)) {
        return said(`an ADD is refused: ${code} ${kindOf(msg)}`, added, world);
      }
      return await this.#wrong("an ADD that is refused", world, added);
    }
    count(oneMacEach.seen, asked === undefined ? "ADDs that work" : "ADDs that get their MAC");
    const [bridge, veth, { mac }] = added.json.interfaces;
    const inner = world.inside.get(id)?.find(({ ifname }) => ifname === "eth0");
    if (inner?.address !== mac || (asked !== undefined && mac !== asked)) {
      return said(
        "an ADD reports a MAC that was not requested or is not in the kernel",
        added,
        world,
      );
    }
    if (world.links.find(({ ifname }) => ifname === bridge.name)?.address !== bridge.mac) {
      return said("an ADD reports another MAC of the bridge than it has", added, world);
    }
    const [first = ""] = added.json.ips.map(({ address }: Json) => address.split("/")[0]);
    const index = world.links.find(({ ifname }) => ifname === veth.name)?.ifindex;
    const guarded = this.#network.macspoofchk;
    const rest = { ip: first, mac, veth: veth.name, index, result: added.json, guarded };
    this.#attached.set(id, { ...rest, owner: `${id}/eth0` });
    return await this.#wrong("an ADD", world, added);
  }

  async #del(id: string): Promise<Complaint | undefined> {
    this.#attached.delete(id);
    const ended = await this.#host.cni("DEL", { id, config: this.#network, under: this.#under });
    const world = await look(this.#host);
    if (ended.code !== 0) return said("a DEL fails", ended, world);
    return await this.#wrong("a DEL", world, ended);
  }

  async #macOf(wish: NonNullable<Step["mac"]>): Promise<string> {
    const { links } = await look(this.#host);
    const bridge = links.find(({ ifname }) => ifname === CONFIG.bridge)?.address;
    const [neighbour] = this.#attached.values();
    const free = this.#network.subnet === undefined
      ? macOf(parseIp("fd00:88::7"))
      : "0a:58:0a:56:00:07";
    const another = "02:00:00:00:00:11";
    switch (wish) {
      case "of the bridge":
        return bridge ?? another;
      case "of a neighbour":
        return neighbour?.mac ?? another;
      default:
        return wish === "another" ? another : free;
    }
  }

  /** The faults of all attached containers, in the kernel and in the state. */
  async #wrong(after: string, world: World, ended: Answer): Promise<Complaint | undefined> {
    const all = [...this.#attached.values()];
    const bridge = world.links.find(({ ifname }) => ifname === CONFIG.bridge);
    const owners = new Map<string, string>([[bridge?.address, "the bridge"]]);
    for (const { owner, mac } of all) {
      if (owners.has(mac)) {
        const kind = `${after}: a container has the MAC of another or of the bridge`;
        return said(kind, ended, world);
      }
      owners.set(mac, owner);
    }
    const harm = harmed(all, after, world, ended);
    if (harm !== undefined || !this.#network.macspoofchk || all.length === 0) return harm;
    const entries: Json[] = JSON.parse(await this.#host.sh("ip -B -j neigh show nud noarp"));
    const isHeld = ({ mac, veth }: AddedAttachment) =>
      entries.some(({ lladdr, dev }) => lladdr === mac && dev === veth);
    if (all.every(isHeld)) return undefined;
    return said(`${after}: a port's entry is gone or at another port`, ended, world);
  }
}
