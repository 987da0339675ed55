import type { Answer, Json } from "../integration/host.ts";
import type { FOLDERS, Step } from "./days.ts";
import { CONTAINERS, networkOf } from "./layouts.ts";
import { type Scene, seatIn } from "./scene.ts";
import type { Deed } from "./vocabulary.ts";

/** STATUS and `doctor` of a network. */
export interface Documents {
  readonly status: Answer;
  readonly doctor: Answer;
}

/** The evidence by which an attachment's host veth is recognized. */
type Evidence = "name" | "alias" | "MAC" | "group" | "namespace" | "state";

interface Known {
  /** The address that an ADD or an import reported, without prefix length. */
  readonly ip: string;
}

/** The deeds done to a host, and the statements of its documents. */
export class Memory {
  /** Containers with an address that a document reported. */
  readonly #known = new Map<string, Known>();
  /** Containers of the reference plugins, and their addresses. */
  readonly #references = new Map<string, string>();
  /** Containers on a bridge that does not belong to the network. */
  readonly #elsewhere = new Set<string>();
  /** Deeds by container, and deeds that concern everything. */
  readonly #deeds: { readonly id: string; readonly deed: Deed }[] = [];
  readonly #before = new Map<string, string>();
  /** Containers that a document named as an obstacle. */
  readonly #reported = new Set<string>();
  readonly #isRefused = [false, false];
  readonly #isUnknown = [true, true];
  /** Whether the last report about a network was a `repair` with exit status 0. */
  readonly isRepaired = [false, false];
  documents = "nobody asked";
  /** Both networks have the same addresses. */
  readonly #isShared: boolean;

  constructor(isShared: boolean) {
    this.#isShared = isShared;
  }

  get lastDeed(): string {
    const last = this.#deeds.at(-1)?.deed;
    return last === undefined ? "nothing" : `${last.what}, ${last.how}`;
  }

  get isTouched(): boolean {
    return this.#deeds.length > 0 || this.#references.size > 0;
  }

  /** A document reported the state as that of a newer version. */
  get isNewer(): boolean {
    return this.#deeds.some(({ deed }) => deed.how === "raise the schema");
  }

  set isUnknown(_: true) {
    this.#isUnknown.fill(true);
  }

  /** The attribute's value before the first deed that changed it. */
  before(id: string, what: string, value: string | undefined): string | undefined {
    const key = `${id} ${what}`;
    if (value !== undefined && !this.#before.has(key)) this.#before.set(key, value);
    return this.#before.get(key);
  }

  did(deed: Deed, id: string): void {
    this.#deeds.push({ deed, id });
    this.isUnknown = true;
    this.isRepaired.fill(false);
  }

  /** An ADD reported this result. */
  added(id: string, result: Json): void {
    this.#known.set(id, { ip: ipOf(result) });
    this.#reported.delete(id);
    if (!this.#isShared) return;
    // The other network may have to report something about it now.
    this.#isUnknown[1 - networkOf(CONTAINERS.indexOf(id as "k0"))] = true;
  }

  /** The reference attached a container before any ADD, so the state may lack it. */
  referenced(id: string, ip: string, isOnBridge: boolean): void {
    if (this.#known.size > 0) return;
    this.#references.set(id, ip);
    if (!isOnBridge) this.#elsewhere.add(id);
    this.isUnknown = true;
  }

  isReference(id: string): boolean {
    return this.#references.has(id);
  }

  /** Whether nothing shows that a container belongs to this network: neither its bridge nor a listing. */
  isForeign(id: string): boolean {
    return this.#elsewhere.has(id) && !this.#known.has(id);
  }

  /** The listing of the reference's folder for `import`, and the containers that it lacks. */
  folder(kind: (typeof FOLDERS)[number]): { readonly lines: string; readonly missing: string[] } {
    const leases = [...this.#references];
    const missing = kind === "one missing" ? leases.splice(0, 1).map(([id]) => id) : [];
    const [first] = leases;
    if (kind === "one added") leases.push(["ghost", "10.88.0.9"]);
    if (kind === "one doubled" && first !== undefined) leases.push([first[0], "10.88.0.8"]);
    const folder = "/var/lib/cni/networks/podnet";
    const lines = leases.map(([id, ip]) => `${folder}/${ip}:${id}\r\n${folder}/${ip}:eth0\r\n`);
    return { lines: `${folder}/last_reserved_ip.0:10.88.0.2\n${lines.join("")}`, missing };
  }

  imported({ code, json, stdout }: Answer, missing: readonly string[]): void {
    this.isUnknown = true;
    for (const { owner, address } of [...json?.proved ?? [], ...json?.possible ?? []]) {
      const id = String(owner).split("/")[0] ?? "";
      if (this.#references.has(id)) this.#known.set(id, { ip: address });
    }
    for (const id of missing) {
      if (code !== 0 && stdout.includes(`veth0000${id}`)) this.#reported.add(id);
    }
  }

  mustAsk(network: 0 | 1): boolean {
    return this.#isUnknown[network] ?? false;
  }

  noteDocuments(network: 0 | 1, { status, doctor }: Documents, scene: Scene): void {
    this.#isUnknown[network] = false;
    this.documents =
      `STATUS said ${status.code} ${status.stdout}, doctor ${doctor.code}: ${doctor.stdout}`;
    this.#isRefused[network] = status.code !== 0 || doctor.code === 2;
    for (const id of CONTAINERS) {
      const { outer, ips } = seatIn(scene, id);
      const names = [`"${id}"`, `${id}/eth0`, ...ips.map((it) => it.split("/")[0] ?? it)];
      if (outer !== undefined) names.push(outer.ifname);
      if (outer?.ifalias) names.push(outer.ifalias);
      if (speaks(doctor.json, names)) this.#reported.add(id);
    }
  }

  /** Whether a document reported that an ADD fails, or named a container without any evidence as an obstacle. */
  wasTold(id: string, network: 0 | 1): boolean {
    return this.#isRefused[network] || this.#reported.has(id) && !this.canTell(id);
  }

  ran({ does, who }: Step, { code }: Answer): void {
    this.isUnknown = true;
    if (code !== 0) return;
    if (does === "del") this.#known.delete(CONTAINERS[who] ?? "");
    if (does !== "repair") return;
    // It reports that all is well now.
    this.#reported.clear();
    this.isRepaired[networkOf(who)] = true;
  }

  ipOf(id: string): string | undefined {
    return this.#known.get(id)?.ip;
  }

  /** Whether the container's own interface or namespace was changed by hand. */
  hasLied(id: string): boolean {
    return this.#deeds.some(({ deed, id: of }) => of === id && /^(inter|name)/.test(deed.what));
  }

  hasDone(what: RegExp, id?: string): boolean {
    return this.#deeds.some(({ deed, id: of }) =>
      (id === undefined || of === id) && what.test(`${deed.what}, ${deed.how}`)
    );
  }

  /** Whether the remaining evidence shows the owner of the container's host veth (DESIGN.md §5a). */
  canTell(id: string): boolean {
    const lost = this.#lost(id);
    const has = (it: Evidence) => !lost.has(it);
    if (!has("namespace")) return false;
    if (this.#references.has(id)) {
      return this.#known.has(id) && has("state") && (has("name") || has("MAC"));
    }
    const byAlias = has("alias") && (has("name") || has("MAC") || has("group"));
    return has("state") ? has("name") || has("MAC") || byAlias : has("name") && has("alias");
  }

  canTellAll(ids: readonly string[]): boolean {
    return ids.every((id) => this.canTell(id));
  }

  #lost(id: string): Set<Evidence> {
    return new Set(this.#deeds.flatMap(({ deed, id: of }): Evidence[] => {
      const [kind, attribute] = deed.what.split(": ");
      if (attribute === undefined) return /^(state|folder)$/.test(kind ?? "") ? ["state"] : [];
      return of === id && kind !== "bridge" ? [attribute as Evidence] : [];
    }));
  }
}

export function ipOf(result: Json): string {
  return String(result?.ips?.[0]?.address).split("/")[0] ?? "";
}

/**
 * Whether a finding names one of these as an obstacle. A stale lease or an ADD in progress belongs to a dead
 * container: such a report about a live one would be wrong.
 */
function speaks(doctor: Json, names: readonly string[]): boolean {
  return (doctor?.findings ?? []).some(({ level, about, found }: Json) =>
    (level === "warning" || level === "error") && about !== "leases" &&
    // The first and last address of the pool do not belong to a container.
    !/at work|in progress/.test(found) &&
    names.some((it) => found.replace(/\S+ - \S+/g, "").includes(it))
  );
}
