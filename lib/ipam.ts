/** Which addresses an attachment has: reserved, released and taken back, in one file for each network. */
import { contains, formatCidr, type Ip, valueOf } from "./base/address.ts";
import {
  type Attachment,
  attachmentIn,
  attachmentOf,
  hostVethName,
  type Named,
  type Owner,
  ownerKey,
} from "./base/attachment.ts";
import { CniError, isError } from "./base/errors.ts";
import { type Mac, macOfAll } from "./base/mac.ts";
import type { InterfaceName, NetworkName } from "./base/names.ts";
import { formatRanges, formatSet, type RangeSet, subnetsOf, usable } from "./base/range.ts";
import { checkRequested, choose, countFree, refused } from "./ipam/choose.ts";
import {
  addLease,
  dropLease,
  findLease,
  holderOf,
  isSameLease,
  type Lease,
  type LeaseRecord,
  listLeases,
  type State,
} from "./ipam/state.ts";
import { isUnreadable, openStore, type Origin, type Rebuilt, type Store } from "./ipam/store.ts";

export { countFree } from "./ipam/choose.ts";
export { checkFolder, lockPath, namesIn, statePath, tryLstat } from "./ipam/folder.ts";
export { holderOfLock } from "./ipam/lock.ts";
export { type Mark, Marks, type Work } from "./ipam/mark.ts";
export { emptyState, type Lease, type LeaseRecord, NewerSchema, type State } from "./ipam/state.ts";
export { addLease, findLease, listLeases } from "./ipam/state.ts";
export { type Held, type Networks, readNetworks } from "./ipam/networks.ts";
export type { Rebuilt } from "./ipam/store.ts";

/** What an attachment asks for. */
export interface LeaseRequest {
  readonly attachment: Attachment;
  readonly sets: readonly RangeSet[];
  /** MAC of the host veth this run made. */
  readonly hostMac: Mac;
  readonly requestedIps: readonly Ip[];
  readonly requestedMac: Mac | undefined;
  readonly pod: string | undefined;
  readonly bridge: InterfaceName;
  readonly guarded: boolean;
}

/** The host veths that exist, by name; only asked for when a lease is in doubt. */
export type LookAtVeths = () => Promise<
  ReadonlyMap<string, Named & { readonly mac: string; readonly master: string }>
>;

/** Somebody who may have an address of the network, as the kernel has it. */
export interface Holder {
  /** The attachment, or the host veth of another plugin. */
  readonly name: string;
  /** Key of the attachment's lease; `undefined` for another plugin's veth. */
  readonly key: string | undefined;
  readonly host: string;
  /** Whether it was seen, or can't be looked into and so can't be excluded. */
  readonly isSeen: boolean;
}

/** What is asked of the kernel where the state alone is not enough. */
export interface Evidence {
  readonly veths: LookAtVeths;
  /** Who beside that attachment may have an address. */
  readonly holders: (beside: Attachment | undefined) => Promise<readonly Holder[]>;
  /** Tells a person what was done without being asked. */
  readonly warn: (sentence: string) => void;
}

/** A lease that another plugin gave, to be held here from now on. */
export type Adoption = Lease & { readonly record: LeaseRecord };

/** A network's leases. */
export interface Leases {
  /** Where they can't be read, as far as that shows without reading. IOFailure, StateDamaged. */
  mustBeReadable(): void;
  /** Reads the state while something else is at work; what is wrong with it is told by whoever asks for a lease. */
  preload(): void;
  /** The lease of that owner, read without the lock. IOFailure, StateDamaged. */
  of(owner: Owner): Lease | undefined;
  all(): Lease[];
  /** The network's state as it is now, for who shows it. IOFailure, StateDamaged. */
  state(): State;
  /** Throws StateDamaged, InvalidNetworkConfig where the leases that are held do not fit these ranges. */
  mustFit(sets: readonly RangeSet[]): void;
  /** Gives the attachment one address of each set in one durable write. */
  reserve(request: LeaseRequest, evidence: Evidence): Promise<Lease>;
  /**
   * Releases exactly these leases; one that has changed since it was read is somebody else's. Where there is none,
   * what a killed run left of a write goes all the same.
   */
  release(leases: readonly Lease[]): Promise<void>;
  /** Releases what `reserve` gave, as if it had never been given; also where `reserve` failed after it had written. */
  undoReserve(): Promise<void>;
  /** Holds the leases of another plugin, durably: all of them, or an error and none. */
  adopt(
    leases: readonly Adoption[],
    sets: readonly RangeSet[],
    last: readonly Ip[],
    evidence: Evidence,
  ): Promise<void>;
  /** Releases the leases without a host veth; says which. */
  releaseStale(veths: LookAtVeths): Promise<Lease[]>;
  /** How many more addresses of each set an ADD could get, healing included. */
  free(sets: readonly RangeSet[], veths: LookAtVeths): Promise<bigint[]>;
  /** Whether the state can't be read and an ADD would begin it anew, for nobody can hold an address. StateDamaged. */
  wouldBeginAnew(evidence: Evidence): Promise<boolean>;
  /** Throws StateDamaged where somebody has an address and no lease: an older copy was put back, or the file emptied. */
  mustBeWhole(evidence: Evidence): Promise<void>;
  /** Replaces the state whatever it is; returns where a damaged file is kept. */
  rebuild(build: () => Promise<Rebuilt | undefined>): Promise<string | undefined>;
  /** Throws IOFailure where the next ADD could not write. */
  mustBeWritable(): void;
}

export function openLeases(dataDir: string, network: NetworkName, stop: AbortSignal): Leases {
  return leasesIn(openStore(dataDir, network), network, stop);
}

export function leasesIn(store: Store, network: NetworkName, stop: AbortSignal): Leases {
  let given: { lease: Lease; before: Pick<State, "lastReserved" | "ranges"> } | undefined;
  const release = (doomed: readonly Lease[], until: AbortSignal, before?: typeof given) =>
    store.update((state) => {
      const mine = doomed.filter((lease) => isSameLease(findLease(state, lease.owner), lease));
      for (const lease of mine) dropLease(state, lease);
      const isLast = before !== undefined &&
        before.lease.ips.every((ip, index) => state.lastReserved[index] === ip);
      if (mine.length > 0 && isLast) {
        state.lastReserved.splice(0, Infinity, ...before.before.lastReserved);
        state.ranges = before.before.ranges;
      }
      return mine.length > 0;
    }, until);
  return {
    mustBeReadable: () => store.mustBeReadable(),
    preload: () => {
      try {
        store.read();
      } catch (error) {
        if (!(error instanceof CniError)) throw error;
      }
    },
    of: (owner) => findLease(store.read(), owner),
    all: () => listLeases(store.read()),
    state: () => store.read(),
    mustFit: (sets) => {
      let state: State;
      try {
        state = store.read();
      } catch (error) {
        if (isUnreadable(error)) return; // reserve() finds out whether it can begin anew
        throw error;
      }
      checkFit(state, sets, network, "changed");
    },
    reserve: async (request, evidence) => {
      await store.update(
        async (state, origin) => {
          if (origin !== "written") {
            await checkWhole(state, origin, network, evidence, request.attachment);
          }
          checkFit(state, request.sets, network, origin);
          const before = { lastReserved: [...state.lastReserved], ranges: state.ranges };
          given = { lease: await give(state, request, evidence.veths), before };
          return true;
        },
        stop,
        {
          mustBeUnused: (damage) => mustBeUnused(damage, network, evidence, request.attachment),
          startedAnew: (aside) =>
            evidence.warn(
              `the state of network "${network}" could not be read and no host veth of it stands: begun anew` +
                (aside === undefined ? "" : `, the old file is kept as ${aside}`),
            ),
        },
      );
      if (given === undefined) throw new Error("an update that did not run");
      return given.lease;
    },
    release: async (leases) => {
      await (leases.length > 0 ? release(leases, stop) : store.sweep(stop));
    },
    undoReserve: async () => {
      // Who is told to stop waits for the lock all the same: this is the end of the run.
      if (given !== undefined) await release([given.lease], new AbortController().signal, given);
    },
    adopt: (leases, sets, last, evidence) =>
      store.update(async (state, origin) => {
        const listed = leases.map(({ owner }) => ownerKey(owner));
        if (origin !== "written") {
          await checkWhole(state, origin, network, evidence, undefined, listed);
        }
        checkFit(state, sets, network, origin);
        const fresh = leases.filter((lease) => mayAdopt(state, lease));
        for (const lease of fresh) addLease(state, lease);
        state.ranges = sets;
        if (state.lastReserved.length === 0) state.lastReserved.push(...last);
        return fresh.length > 0 || origin !== "written";
      }, stop),
    releaseStale: async (veths) => {
      let stale: Lease[] = [];
      if (!store.exists() || listLeases(store.read()).length === 0) return stale;
      await store.update(async (state) => {
        stale = await heal(state, network, veths);
        return stale.length > 0;
      }, stop);
      return stale;
    },
    free: async (sets, veths) => {
      const state = store.read();
      const counts = () =>
        sets.map((set) => countFree(set, Object.keys(state.ipToContainer) as Ip[]));
      if (counts().some((count) => count === 0n)) await heal(state, network, veths);
      return counts();
    },
    wouldBeginAnew: async (evidence) => {
      try {
        store.read();
        return false;
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        await mustBeUnused(error, network, evidence, undefined);
        return true;
      }
    },
    mustBeWhole: async (evidence) => {
      const state = store.read();
      await checkWhole(state, store.exists() ? "changed" : "missing", network, evidence, undefined);
    },
    rebuild: (build) => store.rebuild(build, stop),
    mustBeWritable: () => store.mustBeWritable(),
  };
}

/** What to do about leases that another subnet's configuration gave; what hurts nobody comes first. */
export const SUBNET_CHANGED =
  "set the old subnet back, or give the new one a network name and a bridge of its own";

/**
 * Leases that another subnet's configuration gave can't be told from damage, so nothing is given beside them; nor where a
 * container has what is now the gateway. What was given last was given for these ranges, beside leases looked at then.
 */
function checkFit(
  state: State,
  sets: readonly RangeSet[],
  network: NetworkName,
  origin: Origin,
): void {
  const isKnown = state.ranges !== undefined && formatRanges(state.ranges) === formatRanges(sets);
  if (origin === "written" && isKnown) return;
  const subnets = subnetsOf(sets);
  const held = Object.keys(state.ipToContainer) as Ip[];
  const outside = held.find((ip) => !subnets.some((subnet) => contains(subnet, ip)));
  if (outside !== undefined) {
    throw new CniError(
      "StateDamaged",
      `Cannot use the state of network "${network}" for ${
        subnets.map(formatCidr).join(", ") || "a network without addresses"
      }: it holds ${outside}`,
      {
        details: `the subnet was changed while containers had addresses: ${SUBNET_CHANGED}; ` +
          "or the file is damaged (atomicni repair < CONFIGURATION)",
      },
    );
  }
  const gateway = sets.flat().map((range) => range.gateway).find((ip) =>
    holderOf(state, ip) !== undefined
  );
  if (gateway === undefined) return;
  throw new CniError(
    "BridgeUnusable",
    `Cannot use "${gateway}" as the gateway of network "${network}": "${
      holderOf(state, gateway)
    }" holds it`,
    { details: "set the old gateway back, or remove that container first" },
  );
}

/**
 * A file that this program did not write last may be an older copy or an emptied one, and no file at all may have been one
 * that was removed: who may have an address and no lease keeps another from being given.
 */
async function checkWhole(
  state: State,
  origin: Origin,
  network: NetworkName,
  { holders }: Evidence,
  beside: Attachment | undefined,
  listed: readonly string[] = [],
): Promise<void> {
  const known = new Set([...Object.keys(state.containerToIP), ...listed]);
  const imported = new Set(
    Object.values(state.leases).flatMap(({ hosts }) => hosts?.split(" ") ?? []),
  );
  const lost = (await holders(beside)).filter(({ key, host }) =>
    key === undefined ? !imported.has(host) && listed.length === 0 : !known.has(key)
  );
  const [holder, ...more] = lost;
  if (holder === undefined) return;
  const others = more.length === 0 ? "" : ` and ${more.length} more`;
  const does = holder.isSeen ? "holds an address" : "may hold an address and can't be looked into";
  const file = origin === "missing"
    ? "its state file is gone"
    : "an older or emptied state file was put in place";
  throw new CniError(
    "StateDamaged",
    `Cannot ${origin === "missing" ? "start" : "use"} the state of network "${network}"${
      origin === "missing" ? " anew" : ""
    }: "${holder.name}"${others} ${does}, and has no lease`,
    {
      details:
        `${file}: atomicni repair < CONFIGURATION; where another plugin gave the address: atomicni import; ` +
        `where it is nobody's (${holder.host}): remove that container`,
    },
  );
}

/** A damaged file is begun anew only where no host veth stands that could be of the network: then nobody has an address. */
async function mustBeUnused(
  damage: unknown,
  network: NetworkName,
  { veths, holders }: Evidence,
  beside: Attachment | undefined,
): Promise<void> {
  const own = beside && await hostVethName(beside);
  for (const link of (await veths()).values()) {
    if (link.ifname !== own && (await attachmentOf(link))?.network === network) throw damage;
  }
  if ((await holders(beside)).length > 0) throw damage;
}

/**
 * Whether the lease is new here; one that is held already is no error, for an import can be done again, and knows more of a
 * container that could not be looked into last time.
 */
function mayAdopt(state: State, { owner, ips, record }: Adoption): boolean {
  const { containerId } = owner;
  const before = findLease(state, owner) ?? findLease(state, { containerId, ifname: undefined });
  const holders = new Set(ips.flatMap((ip) => holderOf(state, ip) ?? []));
  if (before === undefined && holders.size === 0) return true;
  if (before !== undefined && before.ips.join() === ips.join()) {
    const isBetter = isImported(before) && record.hostMac !== "" &&
      before.record?.hostMac !== record.hostMac;
    if (isBetter) dropLease(state, before);
    return isBetter;
  }
  const [holder = ownerKey(owner)] = holders;
  const found = holder === ownerKey(owner)
    ? `it has ${before?.ips.join(", ") ?? "none"} here`
    : `"${holder}" holds it here`;
  throw new CniError(
    "AddressUnavailable",
    `Cannot import "${ips.join(", ")}" for "${ownerKey(owner)}": ${found}`,
    { details: "nothing was imported; remove one of the two containers and import again" },
  );
}

/** Chooses the addresses of the request and puts them into `state`. */
async function give(state: State, request: LeaseRequest, veths: LookAtVeths): Promise<Lease> {
  const { attachment, sets, hostMac, requestedIps, requestedMac, pod, guarded, bridge } = request;
  checkRequested(sets, requestedIps);
  const own = findLease(state, attachment);
  if (own !== undefined) {
    await mustBeOurs(attachment, hostMac, veths);
    dropLease(state, own);
  }
  const ips = await chooseOrHeal(state, request, own?.ips ?? [], veths);
  if (requestedMac !== undefined) checkMac(state, sets, ips, requestedMac);
  const record: LeaseRecord = {
    since: now(),
    hostMac,
    ...(pod !== undefined && { pod }),
    ...(requestedMac !== undefined && { mac: requestedMac }),
    ...(guarded && { guarded }),
    ...((guarded || requestedMac !== undefined) && { bridge }),
  };
  const { containerId, ifname } = attachment;
  const lease: Lease = { owner: { containerId, ifname }, ips, record };
  addLease(state, lease);
  state.lastReserved.splice(0, Infinity, ...ips);
  state.ranges = sets;
  return lease;
}

/** The time as the state file has it: UTC, to the second. */
export function now(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`;
}

/**
 * A lease of this very attachment: a run before this one was killed, and its host veth is gone. Unless another run of the
 * same attachment is at work, whose veth then stands in the place of ours.
 */
async function mustBeOurs(
  attachment: Attachment,
  hostMac: Mac,
  veths: LookAtVeths,
): Promise<void> {
  const standing = (await veths()).get(await hostVethName(attachment));
  if (standing?.mac === hostMac) return;
  throw new CniError(
    "TryAgainLater",
    `Cannot give "${ownerKey(attachment)}" an address: another ADD or DEL of it is at work`,
    { details: "a runtime may not run two operations on one attachment at once; try again" },
  );
}

/** Throws AddressUnavailable for a MAC that another lease has, or will get with an address of the network. */
function checkMac(state: State, sets: readonly RangeSet[], ips: readonly Ip[], mac: Mac): void {
  const refuse = (found: string): never => {
    throw new CniError("AddressUnavailable", `Cannot give "${mac}" as asked for: ${found}`, {
      details: "ask for another MAC, or for none",
    });
  };
  const same = listLeases(state).find((lease) => containerMac(lease) === mac);
  if (same !== undefined) refuse(`"${ownerKey(same.owner)}" has it`);
  const other = macOfAll(ips) === mac ? undefined : ipOfMac(sets, mac);
  if (other !== undefined) refuse(`it belongs to ${other}`);
}

/** The MAC that the lease's container was given; of an imported one only its maker knew it where the record has none. */
export function containerMac({ ips, record }: Lease): string | undefined {
  return record?.mac ??
    (record === undefined || record.hosts !== undefined ? undefined : macOfAll(ips));
}

/** The address of the network whose MAC it is, so far as that can be told: of IPv4 alone. */
function ipOfMac(sets: readonly RangeSet[], mac: Mac): Ip | undefined {
  const [, digits] = /^0a:58:((?:[0-9a-f]{2}:?){4})$/.exec(mac) ?? [];
  if (digits === undefined) return undefined;
  const ip = digits.split(":").map((byte) => parseInt(byte, 16)).join(".") as Ip;
  return subnetsOf(sets).some((subnet) => contains(subnet, ip)) ? ip : undefined;
}

async function chooseOrHeal(
  state: State,
  { attachment, sets, requestedIps }: LeaseRequest,
  kept: readonly Ip[],
  veths: LookAtVeths,
): Promise<readonly Ip[]> {
  const wanted = { sets, last: state.lastReserved, requested: requestedIps, kept };
  const isHeld = (ip: Ip) => holderOf(state, ip) !== undefined;
  const first = choose(wanted, isHeld);
  if (typeof first !== "number" && !requestedIps.some(isHeld)) return first;
  await heal(state, attachment.network, veths);
  const held = requestedIps.find(isHeld);
  if (held !== undefined) {
    const remedy = "remove that container first, or ask for another address";
    throw refused(held, `"${holderOf(state, held)}" holds it`, remedy);
  }
  const healed = choose(wanted, isHeld);
  if (typeof healed !== "number") return healed;
  throw poolFull(sets[healed] ?? []);
}

export function poolFull(set: RangeSet): CniError {
  const wider = set.map(({ subnet, start, end }) => ({ subnet, start, end, all: usable(subnet) }))
    .find(({ start, end, all }) =>
      valueOf(start) > valueOf(all.start) || valueOf(end) < valueOf(all.end)
    );
  const more = wider === undefined
    ? "give further containers networks of their own, with other subnets and bridges, for the range is the whole subnet"
    : `widen the range, the subnet has ${wider.all.start} to ${wider.all.end}`;
  return new CniError(
    "PoolExhausted",
    `Cannot give an address of ${formatSet(set)}: all are held`,
    {
      details:
        `every one belongs to a live container (atomicni list shows whose): remove some, or ${more}`,
    },
  );
}

/**
 * Releases every lease whose host veth is gone; returns them. Safe at any time under the lock: the veth comes
 * before the lease and goes before it, so a lease without one is garbage or in the middle of its own DEL.
 */
async function heal(state: State, network: NetworkName, look: LookAtVeths): Promise<Lease[]> {
  const veths = await look();
  const known = new Set<string>();
  for (const link of veths.values()) {
    // One that was renamed still has its container.
    const owner = attachmentIn(link.alias);
    if (owner?.network === network) known.add(ownerKey(owner));
  }
  const stale: Lease[] = [];
  for (const lease of listLeases(state)) {
    if (
      known.has(ownerKey(lease.owner)) ||
      (await hostsOf(lease, network)).some((it) => veths.has(it))
    ) {
      continue;
    }
    dropLease(state, lease);
    stale.push(lease);
  }
  return stale;
}

/** The host veths of which one is the lease's: one for a lease of our own, candidates for an imported one. */
export async function hostsOf(
  { owner, record }: Lease,
  network: NetworkName,
): Promise<readonly string[]> {
  return record?.hosts?.split(" ") ?? [await hostVethName({ network, ...owner })];
}

/** Whether the lease came from another plugin: its host veth has a name that that one gave. */
export function isImported({ record }: Lease): boolean {
  return record?.hosts !== undefined;
}
