import { type Answer, CONFIG, type Host, type Json } from "../integration/host.ts";
import { days, KNOWN, type Step } from "./days.ts";
import { limits } from "./limits.ts";
import { live, vethOf } from "./live.ts";
import { type Complaint, count, kindOf, type Property, shorter } from "./property.ts";
import { CARELESS, CONTAINERS, containerScript } from "./root.ts";
import { leasesOf, leftovers, look, type World } from "./world.ts";

/** Three addresses for four containers: what is free too early is given soon. */
const NETWORK = { ...CONFIG, ipam: { rangeStart: "10.88.0.2", rangeEnd: "10.88.0.4" } };
/** Whatever root does by hand between two runs, no address has two live containers unless a document told it. */
export const carelessRoot: Property<readonly Step[]> = {
  name: "a careless root",
  limits: limits({ short: { cases: 32, seconds: 600 }, full: { cases: 500, seconds: 3600 } }),
  generate: (random, index) => KNOWN[index] ?? days(random),
  complain: (host, it, under) => new Days(host, under).complaint(it),
  smaller: (it) => shorter(it),
  seen: new Map(),
};

class Days {
  readonly #host: Host;
  readonly #under: readonly string[];
  /** Containers that somebody was told of an address for, and their host veths as they were called then. */
  readonly #added = new Map<string, string>();
  /** What was taken of all that tells whose a host veth is, by container; a state is everyone's. */
  readonly #taken = new Map<string, Set<string>>();
  /** Containers that a document spoke of as something in the way. */
  readonly #told = new Set<string>();
  /** They said that an ADD would fail. */
  #isRefused = false;
  #documents = "nothing was done by hand";
  /** Something was done since the documents were asked for. */
  #isUnknown = false;

  constructor(host: Host, under: readonly string[]) {
    this.#host = host;
    this.#under = under;
  }

  async complaint(steps: readonly Step[]): Promise<Complaint | undefined> {
    await this.#host.sh(CONTAINERS.map(containerScript).join("\n"));
    let last = "nothing";
    for (const it of steps) {
      last = it.by ?? last;
      const found = await this.#step(it);
      if (found !== undefined) return after(last, found);
    }
    return after(last, await this.#end());
  }

  async #step({ by, does, who, after = 50 }: Step): Promise<Complaint | undefined> {
    const id = CONTAINERS[who] ?? "k0";
    if (by !== undefined) return await this.#careless(by, id);
    count(carelessRoot.seen, "runs of the program");
    switch (does) {
      case "add":
        return await this.#add(id);
      case "killed add":
        await this.#cni("ADD", id, {}, [
          "timeout",
          "-s",
          "KILL",
          `${after / 1000}`,
          ...this.#under,
        ]);
        // Its `ip` may still be at work.
        await new Promise((resume) => setTimeout(resume, 60));
        return undefined;
      case "del":
        return await this.#spares(id, () => this.#cni("DEL", id), "a DEL");
      case "check":
        await this.#cni("CHECK", id);
        return undefined;
      case "gc":
        return await this.#spares("", () => this.#cni("GC", id), "a GC without a list");
      case "gc list":
        return await this.#spares("", () => this.#cni("GC", id, this.#list()), "a GC");
      default:
        return await this.#spares("", () => this.#person(does ?? "list"), does ?? "list");
    }
  }

  async #careless(by: string, id: string): Promise<undefined> {
    const known = CARELESS.find(({ name }) => name === by);
    const veth = (await vethOf(this.#host, id))?.ifname ?? "none";
    if (known === undefined) return;
    const ip = (await live(this.#host)).get(id)?.[0]?.split("/")[0] ?? "none";
    this.#isUnknown = true;
    await this.#host.run(["sh", "-c", `{ ${known.script({ id, veth, ip })}\n } 2>/dev/null`]);
    count(carelessRoot.seen, "done by hand");
    for (const it of known.takes === "lease" ? CONTAINERS : [id]) {
      if (known.takes === undefined) continue;
      this.#taken.set(it, (this.#taken.get(it) ?? new Set()).add(known.takes));
    }
  }

  #cni(command: string, id: string, more: Json = {}, under = this.#under): Promise<Answer> {
    return this.#host.cni(command, { id, config: { ...NETWORK, ...more }, under });
  }

  #person(words: string): Promise<Answer> {
    const text = JSON.stringify(NETWORK);
    return this.#host.program([...words.split(" "), "--json"], text, {}, this.#under);
  }

  #list(): Json {
    const list = CONTAINERS.map((containerID) => ({ containerID, ifname: "eth0" }));
    return { "cni.dev/valid-attachments": list };
  }

  async #add(id: string): Promise<Complaint | undefined> {
    await this.#ask(id);
    const added = await this.#cni("ADD", id);
    if (added.code !== 0) return undefined;
    count(carelessRoot.seen, "ADDs that work");
    this.#added.set(id, added.json.interfaces[1].name);
    this.#told.delete(id);
    const [{ address = "" }] = added.json.ips;
    for (const [other, has] of await live(this.#host)) {
      if (other === id || !has.includes(address)) continue;
      if (this.#isRefused || this.#told.has(other)) {
        count(carelessRoot.seen, "second containers on an address, as told before");
        continue;
      }
      const text = `${other} is live on ${address}, which ${id} gets; before, ${this.#documents}`;
      const kind = "an address is given twice, and no document said so";
      return said(kind, added, await look(this.#host), text);
    }
    return undefined;
  }

  /** What STATUS and `doctor` say, where anything was done since they were asked. */
  async #ask(id: string): Promise<void> {
    if (!this.#isUnknown) return;
    this.#isUnknown = false;
    const status = await this.#cni("STATUS", id);
    const doctor = await this.#person("doctor");
    this.#documents =
      `STATUS said ${status.code} ${status.stdout}, doctor ${doctor.code}: ${doctor.stdout}`;
    this.#isRefused = status.code !== 0 || doctor.code === 2;
    for (const [other, has] of await live(this.#host)) {
      const names = [`"${other}"`, `${other}/eth0`, ...has.map((it) => it.split("/")[0] ?? it)];
      const veth = await vethOf(this.#host, other);
      if (veth !== undefined) names.push(veth.ifname);
      if (speaks(doctor.json, names)) this.#told.add(other);
    }
  }

  /** A run does not take the veth of any container but `target`. */
  async #spares(
    target: string,
    run: () => Promise<Answer>,
    what: string,
  ): Promise<Complaint | undefined> {
    const before = await live(this.#host);
    const ended = await run();
    this.#isUnknown = true;
    // What was told before is over where it says that all is well now.
    if (what === "repair" && ended.code === 0) this.#told.clear();
    const after = await live(this.#host);
    for (const [id, has] of before) {
      if (id === target || has.length === 0 || (after.get(id) ?? []).length > 0) continue;
      // Nobody was told of what a killed ADD made.
      if (!this.#added.has(id)) continue;
      return said(
        `${what} cuts off another live container`,
        ended,
        await look(this.#host),
        `it was ${id}`,
      );
    }
    if (target !== "" && ended.code === 0) this.#added.delete(target);
    return undefined;
  }

  /** One DEL each; where the state is damaged, a repair and one more. */
  async #end(): Promise<Complaint | undefined> {
    const failed: string[] = [];
    for (const id of CONTAINERS) if ((await this.#cni("DEL", id)).code !== 0) failed.push(id);
    const repaired = failed.length > 0 ? await this.#person("repair") : undefined;
    for (const id of failed) {
      const ended = await this.#cni("DEL", id);
      if (ended.code === 0) continue;
      if (CONTAINERS.some((it) => this.#isHardToTell(it))) return undefined;
      const kind = `a DEL fails, after a repair too: ${kindOf(ended.json?.msg ?? "")}`;
      return said(kind, ended, await look(this.#host), repaired?.stdout ?? "");
    }
    let world = await look(this.#host);
    if (leftovers(world).some((it) => it.startsWith("a lease"))) {
      // A damaged state holds nobody's lease where no host veth stands: the next ADD begins anew.
      await this.#host.containers("next");
      await this.#cni("ADD", "next");
      await this.#cni("DEL", "next");
      world = await look(this.#host);
    }
    const left = leftovers(world).filter((it) => !/^a (veth|link)/.test(it));
    for (const id of CONTAINERS) {
      const veth = this.#isHardToTell(id) ? undefined : await vethOf(this.#host, id);
      if (veth !== undefined) left.push(`a veth: ${veth.ifname} of ${id}`);
    }
    if (left.length === 0) return undefined;
    return said(`one DEL each leaves ${left[0]?.split(":")[0]}`, undefined, world, left.join("\n"));
  }

  /** Of name, alias and lease, more than one was taken: then nothing may tell any more whose a host veth is. */
  #isHardToTell(id: string): boolean {
    return (this.#taken.get(id)?.size ?? 0) >= 2;
  }
}

/** What was done last is most likely the cause. */
function after(last: string, found: Complaint | undefined): Complaint | undefined {
  return found && { ...found, kind: `${found.kind} (root: ${last})` };
}

/** Whether a finding names one of these as something in the way. That a lease is stale, or that an ADD is at work,
 * is said of what is dead or will be over: of a live container it would be wrong. */
function speaks(doctor: Json, names: readonly string[]): boolean {
  return (doctor?.findings ?? []).some(({ level, about, found }: Json) =>
    (level === "warning" || level === "error") && about !== "leases" &&
    // First and last of the pool are no container's.
    !/at work/.test(found) && names.some((it) => found.replace(/\S+ - \S+/g, "").includes(it))
  );
}

function said(kind: string, answer: Answer | undefined, world: World, more: string): Complaint {
  const states = [...world.states].map(([file, it]) =>
    `${file}: ${JSON.stringify(Object.fromEntries(leasesOf(it)))}`
  );
  const links = world.links.map(({ ifname, ifalias }) => `${ifname} (${ifalias ?? ""})`).join(", ");
  const ended = answer === undefined
    ? ""
    : `\nexit ${answer.code}: ${answer.stdout}${answer.stderr}`;
  return { kind, about: `${more}${ended}\nleases: ${states.join(", ")}\nhost: ${links}` };
}
