import { CniError } from "./errors.ts";
import {
  after,
  broadcastOf,
  type Cidr,
  contains,
  formatCidr,
  formatIpv4,
  inRange,
  type Ipv4,
  sizeOf,
  tryIpv4,
  usable,
} from "./ipv4.ts";
import type { LeaseNote, Ledger } from "./ledger.ts";
import { LOCK_LIMIT_MS } from "./lock.ts";
import {
  type Attachment,
  attachmentOf,
  type ContainerId,
  hostVethName,
  type InterfaceName,
  leaseKey,
  legacyVethName,
  type Mac,
  type NetworkName,
} from "./names.ts";
import { noteOf, type Pool } from "./pool.ts";
import { openStore, type Store } from "./store.ts";

/** An address and whose it is. */
export interface Lease {
  /** `container ID/interface`, or a container ID alone where the Go original gave it. */
  readonly key: string;
  readonly ip: Ipv4;
  /** Absent where the Go original gave it. */
  readonly note?: LeaseNote;
}

/** A lease this run took, and what the state noted beside the leases before. */
export interface TakenLease extends Lease {
  readonly before: Pick<Ledger, "lastReserved" | "pool">;
}

/** A lease that another plugin gave, to be held here from now on. */
export interface Adoption extends Lease {
  readonly note: LeaseNote;
}

export interface LeaseRequest {
  readonly attachment: Attachment;
  readonly pool: Pool;
  /** MAC of the host veth this run made. */
  readonly veth: Mac;
  readonly requestedIp?: Ipv4;
  readonly requestedMac?: Mac;
  readonly pod?: string;
}

/** The host veths that exist, by name; only asked for when a lease is in doubt. */
export type LookAtVeths = () => Promise<
  ReadonlyMap<string, { readonly mac: string; readonly alias: string }>
>;

/**
 * The attachments of this network beside that one whose container holds an address, as the kernel has it; only
 * asked for where there is no state file. A container that can't be looked into is left out.
 */
export type LookInside = (beside: Attachment) => Promise<readonly string[]>;

/** One network's leases. */
export interface Leases {
  /** Codes 5, 104 where they can't be read; as far as that shows without reading. */
  mustBeReadable(): void;
  /** The leases an attachment holds, the Go original's for the container included; read without the lock. */
  of(attachment: Attachment): Promise<Lease[]>;
  all(): Promise<Lease[]>;
  /** Gives the attachment an address, durably. Codes 5, 11, 101, 102, 104. */
  take(request: LeaseRequest, look: LookAtVeths, lookInside: LookInside): Promise<TakenLease>;
  /**
   * Takes back exactly these leases; one that has changed since it was read is somebody else's. Where there is none,
   * what a killed run left of a write goes all the same.
   */
  release(leases: readonly Lease[]): Promise<void>;
  /** Takes back what `take` took, as if it had never been given; also where `take` failed after it had written. */
  undoTake(): Promise<void>;
  /** Holds the leases of another plugin, durably: all of them, or an error and none. Codes 5, 11, 102, 104. */
  adopt(leases: readonly Adoption[], pool: Pool, lastReserved: Ipv4 | undefined): Promise<void>;
  /** Takes back the leases without a host veth; says which. */
  releaseStale(look: LookAtVeths): Promise<Lease[]>;
  /** How many more addresses an ADD could get, healing included. */
  free(pool: Pool, look: LookAtVeths): Promise<number>;
  /** Code 5 where the next ADD could not write; as far as that shows without writing. */
  mustBeWritable(): void;
}

export function openLeases(
  dataDir: string,
  network: NetworkName,
  stop: AbortSignal,
  lockLimitMs: number = LOCK_LIMIT_MS,
): Leases {
  return leasesIn(openStore(dataDir, network, lockLimitMs), network, stop);
}

export function leasesIn(store: Store, network: NetworkName, stop: AbortSignal): Leases {
  let taken: TakenLease | undefined;
  const release = (doomed: readonly Lease[], until: AbortSignal, before?: TakenLease["before"]) =>
    store.update((ledger) => {
      const mine = doomed.filter((lease) => isSame(find(ledger, lease.key), lease));
      for (const lease of mine) {
        drop(ledger, lease);
        if (before !== undefined && ledger.lastReserved === formatIpv4(lease.ip)) {
          Object.assign(ledger, before);
        }
      }
      return mine.length > 0;
    }, until);
  return {
    mustBeReadable: () => store.mustBeReadable(),
    of: async ({ containerId, ifname, network }) => {
      const ledger = await store.read();
      const keys = [leaseKey({ containerId, ifname, network }), containerId];
      return keys.flatMap((key) => find(ledger, key) ?? []);
    },
    all: async () => list(await store.read()),
    take: async (request, look, lookInside) => {
      await store.update(async (ledger) => {
        if (ledger.origin === "missing") await mustBeFirst(request.attachment, lookInside);
        taken = await give(ledger, request, look);
        return true;
      }, stop);
      if (taken === undefined) throw new Error("an update that did not run");
      return taken;
    },
    release: async (leases) => {
      await (leases.length > 0 ? release(leases, stop) : store.tidy(stop));
    },
    undoTake: async () => {
      // Who is told to stop waits for the lock all the same: this is the end of the run.
      if (taken !== undefined) await release([taken], new AbortController().signal, taken.before);
    },
    adopt: async (leases, pool, lastReserved) =>
      await store.update((ledger) => {
        checkSubnet(ledger, pool.subnet, network);
        const fresh = leases.filter((lease) => mayAdopt(ledger, lease));
        const last = ledger.lastReserved || (lastReserved && formatIpv4(lastReserved));
        for (const { key, ip, note } of fresh) ledger.put(key, formatIpv4(ip), note);
        ledger.pool = noteOf(pool);
        if (last !== undefined) ledger.lastReserved = last;
        return fresh.length > 0;
      }, stop),
    releaseStale: async (look) => {
      let stale: Lease[] = [];
      if (list(await store.read()).length === 0) return stale;
      await store.update(async (ledger) => {
        stale = await heal(ledger, network, look);
        return stale.length > 0;
      }, stop);
      return stale;
    },
    free: async (pool, look) => {
      const ledger = await store.read();
      if (choose(ledger, pool) === undefined) await heal(ledger, network, look);
      return countFree(list(ledger), pool);
    },
    mustBeWritable: () => store.mustBeWritable(),
  };
}

function find(ledger: Ledger, key: string): Lease | undefined {
  const ip = tryIpv4(ledger.addressOf(key) ?? "");
  if (ip === undefined) return undefined;
  const note = ledger.noteOf(formatIpv4(ip));
  return { key, ip, ...(note && { note }) };
}

/** All leases. */
export function list(ledger: Ledger): Lease[] {
  const { containerToIP, leases } = ledger.state();
  return Object.entries(containerToIP).flatMap(([key, address]) => {
    const ip = tryIpv4(address);
    const note = leases[address];
    return ip === undefined ? [] : [{ key, ip, ...(note && { note }) }];
  });
}

function isSame(found: Lease | undefined, lease: Lease): boolean {
  return found?.ip === lease.ip && found.note?.veth === lease.note?.veth &&
    found.note?.since === lease.note?.since;
}

function drop(ledger: Ledger, { key, ip }: Lease): void {
  ledger.drop(key, formatIpv4(ip));
}

/**
 * Where there is no state file nobody can have a lease, so a container with an address proves that the file was
 * removed, and that address would be given a second time. An ADD in its middle has none yet.
 */
async function mustBeFirst(attachment: Attachment, lookInside: LookInside): Promise<void> {
  const [holder, ...more] = await lookInside(attachment);
  if (holder === undefined) return;
  const others = more.length === 0 ? "" : ` and ${more.length} more`;
  throw new CniError(
    104,
    `Cannot start the state of network "${attachment.network}" anew: "${holder}"${others} holds an address`,
    {
      details:
        "its state file is gone: atomicni repair < CONFIGURATION; where another plugin gave the address: atomicni import",
    },
  );
}

/** Whether the lease is new here; one that is held already is no error, for an import can be done again. Code 102. */
function mayAdopt(ledger: Ledger, { key, ip }: Adoption): boolean {
  const own = find(ledger, key);
  const holder = ledger.ownerOf(formatIpv4(ip));
  if (own === undefined && holder === undefined) return true;
  if (own?.ip === ip && holder === key) return false;
  const found = holder === undefined || holder === key
    ? `it has ${own === undefined ? "none" : formatIpv4(own.ip)} here`
    : `"${holder}" holds it here`;
  throw new CniError(102, `Cannot take "${formatIpv4(ip)}" over for "${key}": ${found}`, {
    details: "nothing was taken over; remove one of the two containers and import again",
  });
}

/** Chooses an address for the request and notes it in `ledger`. */
async function give(ledger: Ledger, request: LeaseRequest, look: LookAtVeths): Promise<TakenLease> {
  const { attachment, pool, veth, requestedIp, requestedMac, pod } = request;
  const key = leaseKey(attachment);
  const before = { lastReserved: ledger.lastReserved, pool: ledger.pool };
  checkSubnet(ledger, pool.subnet, attachment.network);
  const own = find(ledger, key);
  if (own !== undefined) await mustBeOurs(attachment, veth, look);
  const kept = own !== undefined && isGivable(pool, own.ip) ? own.ip : undefined;
  if (own !== undefined) drop(ledger, own);
  const ip = requestedIp === undefined
    ? kept ?? await chooseOrHeal(ledger, attachment.network, pool, look)
    : await reserve(ledger, attachment.network, pool, requestedIp, look);
  const note: LeaseNote = {
    since: `${new Date().toISOString().slice(0, 19)}Z`,
    veth,
    ...(pod !== undefined && { pod }),
    ...(requestedMac !== undefined && { mac: requestedMac }),
  };
  ledger.put(key, formatIpv4(ip), note);
  ledger.pool = noteOf(pool);
  return { key, ip, note, before };
}

/** What to do about leases that another subnet's configuration gave. */
export const SUBNET_CHANGED =
  "give the new subnet a network name of its own, or set the old one back";

/** Leases that another subnet's configuration gave can't be told from damage, so nothing is given beside them. */
function checkSubnet(ledger: Ledger, subnet: Cidr, network: NetworkName): void {
  // What was given last was given for this subnet, beside leases that were looked at then.
  if (ledger.origin === "sealed" && ledger.pool?.subnet === formatCidr(subnet)) return;
  const outside = list(ledger).find(({ ip }) => !contains(subnet, ip))?.ip;
  if (outside === undefined) return;
  throw new CniError(
    104,
    `Cannot use the state of network "${network}" for ${formatCidr(subnet)}: it holds ${
      formatIpv4(outside)
    }`,
    {
      details: "either it is damaged (atomicni repair < CONFIGURATION), or the subnet " +
        `was changed while containers had addresses: ${SUBNET_CHANGED}`,
    },
  );
}

/**
 * A lease of this very attachment: a run before this one was killed, and its host veth was replaced by ours. Unless
 * another run of the same attachment is at work, whose veth then stands in the place of ours.
 */
async function mustBeOurs(attachment: Attachment, veth: Mac, look: LookAtVeths): Promise<void> {
  const standing = (await look()).get(await hostVethName(attachment));
  if (standing?.mac === veth) return;
  throw new CniError(
    11,
    `Cannot give "${leaseKey(attachment)}" an address: another ADD or DEL of it is at work`,
    {
      details: "a runtime may not run two operations on one attachment at once; try again",
    },
  );
}

/** Next-fit behind `lastReserved`, wrapping inside the range; `undefined` where every address is held. */
export function choose(ledger: Ledger, pool: Pool): Ipv4 | undefined {
  const { range } = pool;
  let ip = after(tryIpv4(ledger.lastReserved) ?? range.end, range);
  for (let tries = sizeOf(range); tries > 0; tries--, ip = after(ip, range)) {
    if (isGivable(pool, ip) && ledger.ownerOf(formatIpv4(ip)) === undefined) return ip;
  }
  return undefined;
}

/** In the range, and neither gateway, network nor broadcast address. */
function isGivable({ subnet, range, gateway }: Pool, ip: Ipv4): boolean {
  return inRange(range, ip) && ip !== gateway && ip !== subnet.base && ip !== broadcastOf(subnet);
}

async function chooseOrHeal(
  ledger: Ledger,
  network: NetworkName,
  pool: Pool,
  look: LookAtVeths,
): Promise<Ipv4> {
  const free = choose(ledger, pool);
  if (free !== undefined) return free;
  await heal(ledger, network, look);
  const healed = choose(ledger, pool);
  if (healed !== undefined) return healed;
  throw poolFull(pool);
}

/** Code 101. */
export function poolFull({ subnet, range: { start, end } }: Pool): CniError {
  const all = usable(subnet);
  const isWhole = start === all.start && end === all.end;
  const more = isWhole
    ? "give further containers a network of its own, with another subnet and bridge, for the range is the whole subnet"
    : `widen the range, the subnet has ${formatIpv4(all.start)} to ${formatIpv4(all.end)}`;
  return new CniError(
    101,
    `Cannot give an address of ${formatIpv4(start)} - ${formatIpv4(end)}: all are held`,
    {
      details:
        `every one belongs to a live container (atomicni list shows whose): remove some, or ${more}`,
    },
  );
}

async function reserve(
  ledger: Ledger,
  network: NetworkName,
  pool: Pool,
  ip: Ipv4,
  look: LookAtVeths,
): Promise<Ipv4> {
  const address = formatIpv4(ip);
  const refuse = (found: string, details: string): never => {
    throw new CniError(102, `Cannot give "${address}" as asked for: ${found}`, { details });
  };
  const { start, end } = pool.range;
  const within = `ask for one from ${formatIpv4(start)} to ${formatIpv4(end)}`;
  if (!contains(pool.subnet, ip)) refuse(`it is outside ${formatCidr(pool.subnet)}`, within);
  if (ip === pool.gateway) refuse("it is the gateway", within);
  if (ip === pool.subnet.base || ip === broadcastOf(pool.subnet)) {
    refuse("it is reserved in the subnet", within);
  }
  if (!inRange(pool.range, ip)) refuse("it is outside the range", within);
  if (ledger.ownerOf(address) === undefined) return ip;
  await heal(ledger, network, look);
  const holder = ledger.ownerOf(address);
  if (holder !== undefined) {
    refuse(`"${holder}" holds it`, "remove that container first, or ask for another address");
  }
  return ip;
}

/**
 * Takes back every lease whose host veth is gone; returns them. Safe at any time under the lock: the veth comes
 * before the lease and goes before it, so a lease without one is garbage or in the middle of its own DEL.
 */
async function heal(ledger: Ledger, network: NetworkName, look: LookAtVeths): Promise<Lease[]> {
  const veths = await look();
  const known = new Set<string>();
  for (const { alias } of veths.values()) {
    const owner = attachmentOf(alias);
    if (owner?.network === network) known.add(leaseKey(owner));
  }
  const stale: Lease[] = [];
  for (const lease of list(ledger)) {
    const hosts = hostsOf(lease) ?? [await vethOf(lease.key, network)];
    if (known.has(lease.key) || hosts.some((host) => veths.has(host))) continue;
    drop(ledger, lease);
    stale.push(lease);
  }
  return stale;
}

/** The host veths of which one belongs to a lease that was taken over; `undefined` for a lease of our own. */
export function hostsOf({ note }: Lease): readonly string[] | undefined {
  return note?.hosts?.split(" ");
}

/** Name of the host veth that belongs to a lease. */
export async function vethOf(key: string, network: NetworkName): Promise<InterfaceName> {
  const slash = key.indexOf("/");
  if (slash < 0) return await legacyVethName(key);
  const containerId = key.slice(0, slash) as ContainerId;
  return await hostVethName({
    network,
    containerId,
    ifname: key.slice(slash + 1) as InterfaceName,
  });
}

/** How many addresses nobody holds, where these are held. */
export function countFree(held: readonly Pick<Lease, "ip">[], pool: Pool): number {
  const { subnet, range, gateway } = pool;
  const never = new Set(
    [gateway, subnet.base, broadcastOf(subnet)].filter((ip) => inRange(range, ip)),
  );
  const taken = held.filter(({ ip }) => isGivable(pool, ip)).length;
  return sizeOf(range) - never.size - taken;
}
