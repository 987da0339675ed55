import type { Answer, CniCall, Host, Json } from "../integration/host.ts";
import { type Attachment, attachment, bridgeScript, keyOf } from "./configurations.ts";
import { kindsOf } from "./kinds.ts";
import { limits } from "./limits.ts";
import { type Complaint, count, kindOf, type Property, pruned } from "./property.ts";
import { addressesOf, leftovers, look, type World } from "./world.ts";

/** Every code that docs/errors.md promises for an error document, except the code of a bug. */
const CODES = [1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51, 100, 101, 102, 103, 104, 105, 106];

/** The CHECK after an accepted ADD succeeds, and one DEL removes everything; a refused ADD leaves nothing. */
export const addThenCheck: Property<Attachment> = {
  name: "ADD then CHECK",
  limits: limits({ short: { cases: 60, seconds: 600 }, full: { cases: 2000, seconds: 3600 } }),
  generate: attachment,
  complain: (host, it, under) => new Life(host, it, under).complaint(),
  smaller,
  seen: new Map(),
};

class Life {
  readonly #host: Host;
  readonly #it: Attachment;
  readonly #call: CniCall;

  constructor(host: Host, it: Attachment, under: readonly string[]) {
    this.#host = host;
    this.#it = it;
    const { config, ifname, args } = it;
    this.#call = { config, ifname, under, ...(args !== undefined && { args }) };
  }

  async complaint(): Promise<Complaint | undefined> {
    await this.#host.containers("c0", "c1");
    // The kernel refuses this bridge name, so such a bridge can't exist before.
    await this.#host.run(["sh", "-c", bridgeScript(this.#it)]);
    const neighbour = this.#it.hasNeighbour
      ? await this.#host.cni("ADD", this.#neighbourCall())
      : undefined;
    const hasNeighbour = neighbour?.code === 0;
    return await this.#oneLife(hasNeighbour ? ["c0"] : []) ??
      (hasNeighbour ? await this.#lastOf(neighbour) : undefined);
  }

  /** The neighbour requests no address and no MAC: only the attachment under test does. */
  #neighbourCall(more: Json = {}): CniCall {
    const { runtimeConfig: _, args: __, ...config } = this.#it.config;
    const { under = [] } = this.#call;
    return { id: "c0", under, config: { ...config, ...more } };
  }

  async #oneLife(neighbours: readonly string[]): Promise<Complaint | undefined> {
    const before = await look(this.#host);
    const added = await this.#host.cni("ADD", this.#call);
    if (added.code !== 0) return await this.#refused(added, before, neighbours);
    count(addThenCheck.seen, "accepted");
    for (const it of kindsOf(this.#it, added.json)) count(addThenCheck.seen, `accepted: ${it}`);
    const found = documented(added.json, this.#it, await look(this.#host)) ??
      await this.#confirmed(added.json, this.#call);
    return found ?? await this.#deleted({ ...this.#call, netns: "c1" }, added.json, neighbours);
  }

  async #refused(
    added: Answer,
    before: World,
    neighbours: readonly string[],
  ): Promise<Complaint | undefined> {
    const code: unknown = added.json?.code;
    count(addThenCheck.seen, `refused with ${code}`);
    if (!CODES.includes(Number(code)) || added.json?.cniVersion === undefined) {
      return said(`an ADD ends with ${code} or no document: ${kindOf(added.stdout)}`, added);
    }
    const after = await look(this.#host);
    const lost = addressesLost(this.#it, before, after);
    if (lost.length > 0) {
      return said("a refused ADD has removed an address from the bridge", added, lost);
    }
    return leaves("a refused ADD leaves", after, neighbours, added);
  }

  async #confirmed(prevResult: Json, call: CniCall): Promise<Complaint | undefined> {
    const config = { ...(call.config as Json), prevResult };
    const checked = await this.#host.cni("CHECK", { ...call, config });
    if (checked.code === 0 && checked.stdout === "") return undefined;
    const { code, msg = "", details = "" } = checked.json ?? {};
    return said(
      `CHECK after its own ADD: ${code} ${kindOf(`${msg} ${details}`)}`,
      checked,
      prevResult,
    );
  }

  async #deleted(
    call: CniCall,
    prevResult: Json,
    neighbours: readonly string[],
  ): Promise<Complaint | undefined> {
    const config = { ...(call.config as Json), prevResult };
    const ended = await this.#host.cni("DEL", { ...call, config });
    if (ended.code !== 0 || ended.stdout !== "") return said("a DEL fails", ended);
    return leaves("one DEL leaves", await look(this.#host), neighbours, ended);
  }

  /** The neighbour is unchanged, and its DEL removes it. */
  async #lastOf(neighbour: Answer): Promise<Complaint | undefined> {
    count(addThenCheck.seen, "with a neighbour");
    return await this.#confirmed(neighbour.json, this.#neighbourCall()) ??
      await this.#deleted(this.#neighbourCall(), neighbour.json, []);
  }
}

/** The result agrees with the kernel; otherwise a CHECK that trusts the result would prove nothing. */
function documented(result: Json, it: Attachment, world: World): Complaint | undefined {
  const link = world.inside.get("c1")?.find(({ ifname }) => ifname === it.ifname);
  const about = { result, kernel: link };
  const wrong = (kind: string) => said(`the result of an ADD: ${kind}`, undefined, about);
  if (result?.cniVersion !== it.config.cniVersion) return wrong("another cniVersion");
  if (link === undefined) return wrong("no such interface in the container");
  const inner = result.interfaces?.find(({ sandbox }: Json) => sandbox !== undefined);
  if (inner?.mac !== link.address) return wrong("another MAC than the kernel has");
  const given: string[] = (result.ips ?? []).map(({ address }: Json) => address);
  const has = addressesOf(link);
  if (given.some((ip) => !has.includes(ip)) || has.length !== given.length) {
    return wrong("other addresses than the kernel has");
  }
  const isUnsettled = link.addr_info.some((it: Json) =>
    it.scope !== "link" && (it.tentative || it.dadfailed)
  );
  return isUnsettled ? wrong("an address is tentative") : undefined;
}

/** Addresses that the bridge had before an ADD that failed. */
function addressesLost({ config }: Attachment, before: World, after: World): string[] {
  const name = keyOf(config, "bridge") ?? "cni0";
  const of = (world: World) => addressesOf(world.links.find(({ ifname }) => ifname === name));
  const left = of(after);
  return of(before).filter((it) => !left.includes(it));
}

function leaves(
  what: string,
  world: World,
  neighbours: readonly string[],
  ended: Answer,
): Complaint | undefined {
  const left = leftovers(world).filter((it) => !neighbours.some((id) => isOf(id, it, world)));
  const [first] = left;
  if (first === undefined) return undefined;
  return said(`${what} ${first.split(":")[0]}`, ended, left);
}

/** Whether this belongs to the container `id`, the neighbour of the attachment under test. */
function isOf(id: string, left: string, world: World): boolean {
  if (left.includes(`/${id}/eth0"`) || left.includes(` in ${id}`)) return true;
  if (left.includes(`${id}/eth0 `)) return true;
  if (!left.startsWith("a permanent neighbour")) return false;
  const leased = [...world.states.values()].flatMap((it) =>
    it?.containerToIP?.[`${id}/eth0`] ?? []
  );
  const link = world.inside.get(id)?.find(({ ifname }) => ifname === "eth0");
  const has = (link?.addr_info ?? []).map(({ local }: Json) => local);
  return [...leased, ...has].some((ip) => left.includes(`: ${ip} on`));
}

function said(kind: string, answer?: Answer, more?: Json): Complaint {
  const parts = [
    ...(more === undefined ? [] : [JSON.stringify(more)]),
    ...(answer === undefined ? [] : [`exit ${answer.code}: ${answer.stdout}${answer.stderr}`]),
  ];
  return { kind, about: parts.join("\n") };
}

function* smaller(it: Attachment): Iterable<Attachment> {
  if (it.hasNeighbour) yield { ...it, hasNeighbour: false };
  if (it.bridge !== "") yield { ...it, bridge: "" };
  const { args, ...rest } = it;
  if (args !== undefined) yield rest;
  if (it.ifname !== "eth0") yield { ...it, ifname: "eth0" };
  for (const config of pruned(it.config)) yield { ...it, config: config as Json };
  if (it.config.cniVersion !== "1.1.0") {
    yield { ...it, config: { ...it.config, cniVersion: "1.1.0" } };
  }
}
