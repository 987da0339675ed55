import type { Answer, Host, Json } from "../integration/host.ts";
import { type AddedAttachment, after, GUARDED, harmed, NETWORK, said, STATE_FILE } from "./harm.ts";
import { limits } from "./limits.ts";
import { MALLORY, script, TRICKS } from "./mallory.ts";
import { type Complaint, count, kindOf, type Property, shorter } from "./property.ts";
import { KNOWN, type Play, play, type Step, VICTIMS } from "./plays.ts";
import { addressesOf, leasesOf, leftovers, look, type World } from "./world.ts";

/**
 * Nothing that a container does in its own namespace changes another container's settings, or the reports about
 * it.
 */
export const hostileContainer: Property<Play> = {
  name: "a hostile container",
  limits: limits({ short: { cases: 20, seconds: 600 }, full: { cases: 600, seconds: 3600 } }),
  generate: (random, index) => KNOWN[index] ?? play(random),
  complain: (host, it, under) => new Stage(host, under, it).complaint(),
  *smaller(it) {
    if (it.guarded) yield { ...it, guarded: false };
    for (const steps of shorter(it.steps)) yield { ...it, steps };
  },
  seen: new Map(),
};

class Stage {
  readonly #host: Host;
  readonly #under: readonly string[];
  readonly #attached = new Map<string, AddedAttachment>();
  readonly #play: Play;
  readonly #network: Json;

  constructor(host: Host, under: readonly string[], play: Play) {
    this.#host = host;
    this.#under = under;
    this.#play = play;
    this.#network = play.guarded ? GUARDED : NETWORK;
  }

  async complaint(): Promise<Complaint | undefined> {
    const { order, steps, guarded } = this.#play;
    if (guarded) count(hostileContainer.seen, "networks with both families and the guard");
    await this.#host.containers(...VICTIMS, MALLORY);
    for (const id of order) {
      const found = await this.#add(id, "eth0");
      if (found !== undefined) return found;
    }
    let last = "nothing";
    for (const it of steps) {
      last = it.trick ?? last;
      const found = await this.#step(it);
      if (found !== undefined) return after(last, found);
    }
    return after(last, await this.#end());
  }

  async #step({ trick, does, who }: Step): Promise<Complaint | undefined> {
    const id = VICTIMS[who] ?? "v0";
    if (trick !== undefined) {
      const known = TRICKS.find(({ name }) => name === trick);
      const victim = this.#attached.get(`${id}/eth0`) ?? this.#attached.get("v0/eth0");
      if (known !== undefined && victim !== undefined) await this.#host.sh(script(known, victim));
      count(hostileContainer.seen, "tricks");
      return undefined;
    }
    count(hostileContainer.seen, "runs on the host");
    const isAttached = this.#attached.has(`${id}/eth0`);
    switch (does) {
      case "add":
        return isAttached ? undefined : await this.#add(id, "eth0");
      case "add m":
        return await this.#add(MALLORY, "eth0");
      case "add net1":
        return await this.#add(MALLORY, "net1");
      case "check":
        return isAttached ? await this.#check(id) : undefined;
      case "del":
        return await this.#del(id, "eth0");
      case "del m":
        return await this.#del(MALLORY, "eth0");
      case "gc":
      case "gc list":
        return await this.#collect(does === "gc");
      default:
        return await this.#person(does ?? "list");
    }
  }

  #cni(command: string, id: string, ifname: string, more: Json = {}): Promise<Answer> {
    const config = { ...this.#network, ...more };
    return this.#host.cni(command, { id, ifname, config, under: this.#under });
  }

  async #add(id: string, ifname: string): Promise<Complaint | undefined> {
    const owner = `${id}/${ifname}`;
    const isOthers = id !== MALLORY;
    const added = await this.#cni("ADD", id, ifname);
    const world = await look(this.#host);
    if (added.code !== 0) {
      const harm = this.#harmed("an ADD that fails", world, added);
      // Mallory may make its own ADDs fail, but not those of its neighbours.
      if (harm !== undefined || !isOthers || added.json?.code === 101) return harm;
      const { code, msg = "" } = added.json ?? {};
      return said(`an ADD of another fails: ${code} ${kindOf(msg)}`, added, world);
    }
    const [ip = ""] = added.json.ips.map(({ address }: Json) => address.split("/")[0]);
    const [, veth, inner] = added.json.interfaces;
    const holder = [...this.#attached.values()].find((it) => it.ip === ip && it.owner !== owner);
    if (holder !== undefined && !holder.owner.startsWith(`${MALLORY}/`)) {
      return said("an ADD allocates an address that another attachment has", added, world);
    }
    const link = world.inside.get(id)?.find((it) => it.ifname === ifname);
    if (link?.address !== inner.mac || !addressesOf(link).some((it) => it.startsWith(`${ip}/`))) {
      return said("an ADD reports what the container does not have", added, world);
    }
    const index = world.links.find((it) => it.ifname === veth.name)?.ifindex;
    const result = added.json;
    const guarded = this.#play.guarded === true;
    const { mac } = inner;
    this.#attached.set(owner, { ip, mac, veth: veth.name, owner, index, result, guarded });
    return this.#harmed("an ADD", world, added);
  }

  async #check(id: string): Promise<Complaint | undefined> {
    const prevResult = this.#attached.get(`${id}/eth0`)?.result;
    const checked = await this.#cni("CHECK", id, "eth0", { prevResult });
    const world = await look(this.#host);
    if (checked.code === 0) return this.#harmed("a CHECK", world, checked);
    const { code, msg = "" } = checked.json ?? {};
    return said(`a CHECK of another fails: ${code} ${kindOf(msg)}`, checked, world);
  }

  async #del(id: string, ifname: string): Promise<Complaint | undefined> {
    const owner = `${id}/${ifname}`;
    this.#attached.delete(owner);
    const ended = await this.#cni("DEL", id, ifname);
    const world = await look(this.#host);
    const harm = this.#harmed("a DEL", world, ended);
    if (harm !== undefined) return harm;
    if (ended.code !== 0) {
      return said(`a DEL fails: ${kindOf(ended.json?.msg ?? "")}`, ended, world);
    }
    const veth = world.links.find(({ ifalias }) => String(ifalias).endsWith(`/${owner}`));
    if (veth !== undefined) return said("a DEL leaves its host veth", ended, world);
    const lease = leasesOf(world.states.get(STATE_FILE)).get(owner);
    return lease === undefined ? undefined : said("a DEL leaves its lease", ended, world);
  }

  async #collect(isWithoutList: boolean): Promise<Complaint | undefined> {
    const list = [...this.#attached.keys()].map((owner) => {
      const [containerID, ifname] = owner.split("/");
      return { containerID, ifname };
    });
    const more = isWithoutList ? {} : { "cni.dev/valid-attachments": list };
    const ended = await this.#cni("GC", "v0", "eth0", more);
    const world = await look(this.#host);
    const harm = this.#harmed("a GC", world, ended);
    if (harm !== undefined || ended.code === 0) return harm;
    return said(`a GC fails: ${kindOf(ended.json?.msg ?? "")}`, ended, world);
  }

  /** `repair` and `list`, which have to report the truth about the other containers. */
  async #person(words: string): Promise<Complaint | undefined> {
    const text = JSON.stringify(this.#network);
    const answer = await this.#host.program([...words.split(" "), "--json"], text, {}, this.#under);
    const world = await look(this.#host);
    const harm = this.#harmed(words, world, answer);
    if (harm !== undefined) return harm;
    if (words !== "list") {
      if (answer.code === 2) {
        return said(`${words} is refused because of one container`, answer, world);
      }
      const dropped: Json[] = answer.json?.dropped ?? [];
      const lie = dropped.some(({ owner }) => this.#others().some((it) => it.owner === owner));
      return lie ? said(`${words} reports another attachment as dead`, answer, world) : undefined;
    }
    for (const { owner, ip, veth } of this.#others()) {
      const rows = answer.json?.attachments?.filter((it: Json) =>
        `${it.containerId}/${it.ifname}` === owner
      );
      const [row] = rows ?? [];
      const shown = row?.addresses ?? row?.address;
      if (
        rows?.length === 1 && row.live === true && [shown].flat()[0] === ip && row.veth === veth
      ) continue;
      return said("list says something else of another attachment", answer, world);
    }
    return undefined;
  }

  #others(): AddedAttachment[] {
    return [...this.#attached.values()].filter(({ owner }) => !owner.startsWith(`${MALLORY}/`));
  }

  #harmed(after: string, world: World, ended: Answer): Complaint | undefined {
    return harmed(this.#others(), after, world, ended);
  }

  async #end(): Promise<Complaint | undefined> {
    for (
      const [id, ifname] of [...VICTIMS.map((it) => [it, "eth0"]), ["m", "eth0"], ["m", "net1"]]
    ) {
      const found = await this.#del(id ?? "", ifname ?? "");
      if (found !== undefined) return found;
    }
    const world = await look(this.#host);
    // Links that Mallory created in its namespace are its own.
    const left = leftovers(world).filter((it) => !it.endsWith(` in ${MALLORY}`));
    return left.length === 0
      ? undefined
      : said(`one DEL each leaves ${left[0]?.split(":")[0]}`, undefined, world);
  }
}
