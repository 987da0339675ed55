import type { Answer, Json } from "../integration/host.ts";
import { CONTAINERS, networkOf } from "./layouts.ts";
import type { Step } from "./scenario.ts";
import { type Scene, seatIn } from "./scene.ts";
import type { Actor, Change } from "./vocabulary.ts";

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

/** The changes made to a host by hand, and the statements of its documents. */
export class Memory {
  /** Containers with an address that a document reported. */
  readonly #known = new Map<string, Known>();
  readonly #references = new Map<string, string>();
  /** Containers on a bridge that does not belong to the network. */
  readonly #elsewhere = new Set<string>();
  /** Changes by container, and those that concern everything. */
  readonly #changes: { readonly id: string; readonly change: Change }[] = [];
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

  constructor(isShared: boolean, readonly actor: Actor) {
    this.#isShared = isShared;
  }

  get lastChange(): string {
    const last = this.#changes.at(-1)?.change;
    return last === undefined ? "nothing" : `${last.what}, ${last.how}`;
  }

  get isTouched(): boolean {
    return this.actor === "root" && this.#changes.length > 0 || this.#references.size > 0;
  }

  /** Whether nothing was done to the files of the state, or to the veths that it is compared with. */
  get isStateUntouched(): boolean {
    return this.#references.size === 0 &&
      !this.hasDone(/^(state|folder|lock|marks|temp|back|disk|host veth)/);
  }

  /** A document reported the state as that of a newer version. */
  get isNewer(): boolean {
    return this.#changes.some(({ change }) => change.how === "raise the schema");
  }

  set isUnknown(_: true) {
    this.#isUnknown.fill(true);
  }

  /** The attribute's value before the first change of it. */
  before(id: string, what: string, value: string | undefined): string | undefined {
    const key = `${id} ${what}`;
    if (value !== undefined && !this.#before.has(key)) this.#before.set(key, value);
    return this.#before.get(key);
  }

  did(change: Change, id: string): void {
    this.#changes.push({ change, id });
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

  /** Containers of the reference plugins, and their addresses. */
  get references(): ReadonlyMap<string, string> {
    return this.#references;
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
  wasReported(id: string, network: 0 | 1): boolean {
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
    return this.#changes.some(({ change, id: of }) =>
      of === id && /^(inter|name)/.test(change.what)
    );
  }

  hasDone(what: RegExp, id?: string): boolean {
    return this.#changes.some(({ change, id: of }) =>
      (id === undefined || of === id) && what.test(`${change.what}, ${change.how}`)
    );
  }

  /** Whether the remaining evidence shows the owner of the container's host veth (DESIGN.md §5a). */
  canTell(id: string): boolean {
    // A container can't change any evidence on the host.
    if (this.actor === "container") return true;
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
    return new Set(this.#changes.flatMap(({ change, id: of }): Evidence[] => {
      const [kind, attribute] = change.what.split(": ");
      if (attribute === undefined) return /^(state|folder)$/.test(kind ?? "") ? ["state"] : [];
      const isEvidence = kind === "host veth" || attribute === "namespace" || attribute === "MAC";
      return of === id && kind !== "bridge" && isEvidence ? [attribute as Evidence] : [];
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
