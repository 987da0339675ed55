import { findHost } from "./adopted.ts";
import { differences } from "./check.ts";
import type { Invocation, Network, NetworkConfig, Valid } from "./config.ts";
import { asCniError, CniError } from "./errors.ts";
import type { Lease, Leases, LookAtVeths, LookInside } from "./ipam.ts";
import { hostsOf, poolFull, vethOf } from "./ipam.ts";
import {
  formatCidr,
  formatInterfaceAddress,
  formatIpv4,
  inRange,
  type Ipv4,
  tryIpv4,
} from "./ipv4.ts";
import type { Link } from "./links.ts";
import {
  aliasOf,
  type Attachment,
  attachmentOf,
  freshMac,
  hostVethName,
  type InterfaceName,
  isHostVethName,
  leaseKey,
  type Mac,
  macOf,
} from "./names.ts";
import type { BridgeSpec } from "./bridge.ts";
import type { Kernel, Plugged, PlugSpec } from "./netops.ts";
import { readResolvConf } from "./resolvconf.ts";
import type { Result } from "./result.ts";
import { Rollback } from "./rollback.ts";

/** All that the steps do something with. */
export interface Effects {
  readonly kernel: Kernel;
  readonly leases: Leases;
  /** Aborts with a `CniError` of code 11 when the run is to end. */
  readonly stop: AbortSignal;
}

/** ADD (DESIGN §3): all of it, or an error and nothing. */
export async function add(
  config: NetworkConfig,
  invocation: Invocation,
  effects: Effects,
  deliver: (result: Result) => void = () => {},
): Promise<Result> {
  const { kernel, leases, stop } = effects;
  const attachment = { network: config.name, ...invocation };
  const undo = new Rollback();
  try {
    stop.throwIfAborted();
    const fileDns = config.resolvConf === undefined ? {} : readResolvConf(config.resolvConf);
    const hostMac = freshMac();
    const spec = plugSpec(config, invocation, hostMac);
    leases.mustBeReadable();
    // Undone after the veth: an address is free only when nothing can answer on it.
    undo.push("give back the address", () => leases.undoTake());
    const plugging = kernel.plug(await spec, undo);
    kernel.expect("configure", invocation.netns);
    // Read while the kernel is at work. Both have ended, however, before anything is undone.
    const [plugged] = await both(plugging, leases.of(attachment));
    stop.throwIfAborted();
    const lease = await leases.take(
      {
        attachment,
        pool: config,
        veth: hostMac,
        ...(config.requestedIp !== undefined && { requestedIp: config.requestedIp }),
        ...(config.requestedMac !== undefined && { requestedMac: config.requestedMac }),
        ...(invocation.args.pod !== undefined && { pod: invocation.args.pod }),
      },
      lookAt(kernel),
      holders(kernel, config),
    );
    stop.throwIfAborted();
    const mac = config.requestedMac ?? macOf(lease.ip);
    const ifindex = plugged.host.peerIndex;
    await kernel.configure({ ...config, ...invocation, ifindex, mac, ip: lease.ip });
    if (config.requestedMac !== undefined) await kernel.forgetNeighbour(config.bridge, lease.ip);
    stop.throwIfAborted();
    const dns = Object.keys(config.dns).length > 0 ? config.dns : fileDns;
    const result = resultOf({ ...config, dns }, invocation, plugged, lease, mac);
    deliver(result); // a result that nobody gets is a failed ADD as well
    return result;
  } catch (error) {
    throw await undo.run(error);
  }
}

/** Both of them; where one fails, only after the other has ended as well. The first's error counts more. */
async function both<A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second]);
  return [await first, await second];
}

async function plugSpec(
  config: NetworkConfig,
  invocation: Invocation,
  hostMac: Mac,
): Promise<PlugSpec> {
  const attachment = { network: config.name, ...invocation };
  return {
    bridge: bridgeSpec(config),
    host: await hostVethName(attachment),
    hostMac,
    alias: aliasOf(attachment, invocation.args.pod),
    netns: invocation.netns,
    ifname: invocation.ifname,
    hairpin: config.hairpin,
    isolated: config.isolated,
  };
}

export function bridgeSpec(config: NetworkConfig): BridgeSpec {
  const { bridge, subnet, mtu, gateway, gatewayOnBridge, forceAddress, promiscuous } = config;
  return {
    name: bridge,
    subnet,
    mtu,
    gateway: gatewayOnBridge ? gateway : undefined,
    forceAddress,
    promiscuous,
    mac: gatewayOnBridge ? macOf(gateway) : freshMac(),
  };
}

function lookAt(kernel: Kernel): LookAtVeths {
  return () => kernel.veths();
}

/** Those of this network, and those that another plugin has put into the bridge with an address of the range. */
function holders(kernel: Kernel, { bridge, range }: NetworkConfig): LookInside {
  return async (beside) => {
    const own = await hostVethName(beside);
    const veths = await kernel.veths();
    const owners = await ownVeths(veths, beside.network);
    owners.delete(own);
    const others = [...veths.values()].filter(({ ifname, master, netnsId }) =>
      !isHostVethName(ifname) && master === bridge && netnsId !== undefined
    );
    const mine = [...owners.keys()].flatMap((it) => veths.get(it) ?? []);
    const inside = await kernel.lookInside([...mine, ...others]);
    const addresses = (host: string) => inside.get(host)?.peer.addresses ?? [];
    const isGivable = (it: string) => inRange(range, tryIpv4(it.split("/")[0] ?? "") ?? 0 as Ipv4);
    return [
      ...[...owners].filter(([host]) => addresses(host).length > 0).map(([, it]) => leaseKey(it)),
      ...others.map(({ ifname }) => ifname).filter((host) => addresses(host).some(isGivable)),
    ];
  };
}

/** The result of an ADD, behind what an earlier plugin of the chain returned (rules R9, R12). */
function resultOf(
  config: NetworkConfig,
  { ifname, netns }: Invocation,
  { bridge, host }: Plugged,
  { ip }: Lease,
  mac: Mac,
): Result {
  const previous: Result = config.prevResult ?? { interfaces: [], ips: [], routes: [], dns: {} };
  const first = previous.interfaces.length;
  return {
    interfaces: [
      ...previous.interfaces,
      { name: bridge.ifname, mac: bridge.mac, mtu: bridge.mtu },
      { name: host.ifname, mac: host.mac, mtu: host.mtu },
      { name: ifname, mac, mtu: host.mtu, sandbox: netns },
    ],
    ips: [...previous.ips, {
      interface: first + 2,
      address: formatInterfaceAddress({ ip, prefix: config.subnet.prefix }),
      gateway: formatIpv4(config.gateway),
    }],
    routes: [
      ...previous.routes,
      ...config.routes.map(({ dst, via: _, gw, ...rest }) => ({
        dst: formatCidr(dst),
        ...(gw !== undefined && { gw: formatIpv4(gw) }),
        ...rest,
      })),
    ],
    dns: Object.keys(config.dns).length > 0 ? config.dns : previous.dns,
  };
}

/** DEL: the veth, then the lease. Missing is success; as often as you like. */
export async function del(
  { name, bridge }: Network,
  { containerId, ifname, netns }: Invocation,
  effects: Effects,
): Promise<void> {
  const attachment = { network: name, containerId, ifname };
  const failures = new Failures();
  // What the state said before the veth was seen gone: a lease that is there later under another veth is a new one.
  const read = await failures.past(() => effects.leases.of(attachment));
  const held = read ?? [];
  const own = await hostVethName(attachment);
  const hosts = new Set<string>([own]);
  const adopted = held.filter((lease) => hostsOf(lease) !== undefined);
  for (const { key } of held) hosts.add(await vethOf(key, name));
  let unplugged = true;
  for (const lease of adopted) {
    const host = await failures.past(() => findHost(lease, effects.kernel, { netns, ifname }));
    if (host === undefined) unplugged = false;
    // One that is hidden goes with its namespace: the runtime says that the container has none any more.
    else if (typeof host === "object") {
      unplugged = await failures.past(() => remove(host, effects)) !== undefined && unplugged;
    }
  }
  for (const host of hosts) {
    unplugged = await failures.past(() => unplug(host, effects)) !== undefined && unplugged;
  }
  // An address gets the MAC that belongs to it next time; who chose another must not be remembered.
  for (const { ip, note } of held) {
    if (note?.mac !== undefined && bridge !== undefined) {
      await effects.kernel.forgetNeighbour(bridge, ip);
    }
  }
  if (unplugged && read !== undefined) await failures.past(() => release(held, effects));
  failures.raise(unplugged && read === undefined ? goneAlready(own) : undefined);
}

/** What has become of an attachment whose lease can't be read. */
function goneAlready(host: InterfaceName): string {
  return `the host veth ${host} is gone; its lease goes with atomicni repair, or with a DEL once the state can be read`;
}

async function unplug(host: string, { kernel, stop }: Effects): Promise<true> {
  stop.throwIfAborted();
  await kernel.unplug(host);
  return true;
}

/** Not by name: an ADD may have replaced it since it was looked at. */
async function remove(host: Link, { kernel, stop }: Effects): Promise<true> {
  stop.throwIfAborted();
  await kernel.remove(host);
  return true;
}

async function release(leases: readonly Lease[], effects: Effects): Promise<true> {
  effects.stop.throwIfAborted();
  await effects.leases.release(leases);
  return true;
}

/** CHECK: everything of ours in `prevResult`, all differences in one answer (rules K1 to K5). */
export async function check(
  config: NetworkConfig,
  invocation: Invocation,
  effects: Effects,
): Promise<void> {
  const { ifname, netns } = invocation;
  const { prevResult } = config;
  if (prevResult === undefined) {
    throw new CniError(7, 'Cannot go on without "prevResult": it is missing', {
      details: "the runtime sends the result of the ADD along",
    });
  }
  const attachment: Attachment = { network: config.name, ...invocation };
  effects.kernel.expect("inspect inside", netns);
  const [lease] = await effects.leases.of(attachment);
  const host = lease === undefined
    ? await hostVethName(attachment)
    : hostListed(lease, prevResult) ?? await vethOf(lease.key, config.name);
  const seen = await effects.kernel.inspect(config.bridge, host as InterfaceName, netns, ifname);
  if (lease === undefined && seen.host === undefined) {
    throw new CniError(
      3,
      `Cannot CHECK "${leaseKey(attachment)}": network "${config.name}" knows no such attachment`,
      {
        details: "it was never added, or removed already; no DEL is needed",
      },
    );
  }
  const found = differences({
    config,
    prevResult,
    host: host as InterfaceName,
    ifname,
    netns,
    lease: lease && { ip: lease.ip, prefix: config.subnet.prefix },
  }, seen);
  if (found.length > 0) {
    throw new CniError(106, `Cannot confirm "${leaseKey(attachment)}": ${found.join("; ")}`, {
      details: "remove the container and start it again, or set back what was changed",
    });
  }
}

/** GC: what of this network is not listed; without a list, what is provably garbage (rules G1 to G3, S6). */
export async function gc(
  { name }: Network,
  valid: readonly Valid[] | undefined,
  effects: Effects,
): Promise<void> {
  const failures = new Failures();
  const held = valid && await failures.past(() => effects.leases.all()) || [];
  const veths = await effects.kernel.hostVeths();
  const owners = await ownVeths(veths, name);
  if (valid === undefined) {
    await failures.past(() => effects.leases.releaseStale(lookAt(effects.kernel)));
    for (const [host, owner] of owners) {
      await failures.past(() => unplugAbandoned(host, owner, effects, veths));
    }
    return failures.raise();
  }
  const keep = new Set(
    valid.flatMap(({ containerId, ifname }) => [`${containerId}/${ifname}`, containerId]),
  );
  const doomed = held.filter(({ key }) => !keep.has(key));
  const hosts = new Map<string, Lease | undefined>();
  for (const [host, owner] of owners) if (!keep.has(leaseKey(owner))) hosts.set(host, undefined);
  const free: Lease[] = [];
  for (const lease of doomed) {
    if (hostsOf(lease) === undefined) hosts.set(await vethOf(lease.key, name), lease);
    else if (await failures.past(() => removeAdopted(lease, effects))) free.push(lease);
  }
  for (const [host, lease] of hosts) {
    const link = veths.get(host);
    const gone = link === undefined || await failures.past(() => remove(link, effects));
    if (gone && lease !== undefined) free.push(lease);
  }
  await failures.past(() => release(free, effects));
  failures.raise();
}

/** Whether nothing can answer on the lease's address any more. */
async function removeAdopted(lease: Lease, effects: Effects): Promise<boolean> {
  const host = await findHost(lease, effects.kernel);
  return typeof host === "object" ? await remove(host, effects) : host === "gone";
}

/** The host veth of a lease that was taken over: where it may be one of several, the one that `prevResult` has. */
function hostListed(lease: Lease, { interfaces }: Result): string | undefined {
  const hosts = hostsOf(lease);
  return hosts?.find((host) => interfaces.some(({ name }) => name === host)) ?? hosts?.[0];
}

/** The host veths whose alias says that they are this network's, and whose name agrees. */
async function ownVeths(
  veths: ReadonlyMap<string, Link>,
  network: string,
): Promise<Map<string, Attachment>> {
  const owners = new Map<string, Attachment>();
  for (const [host, { alias }] of veths) {
    const owner = attachmentOf(alias);
    if (owner?.network === network && await hostVethName(owner) === host) owners.set(host, owner);
  }
  return owners;
}

/** A host veth without lease whose container has no such interface: no ADD is in its middle there. */
async function unplugAbandoned(
  host: string,
  owner: Attachment,
  effects: Effects,
  veths: ReadonlyMap<string, Link>,
): Promise<true> {
  const link = veths.get(host);
  if (link === undefined || (await effects.leases.of(owner)).length > 0) return true;
  const inside = (await effects.kernel.lookInside([link])).get(host);
  return inside !== undefined && !inside.links.some(({ ifname }) => ifname === owner.ifname)
    ? await remove(link, effects)
    : true;
}

/** STATUS: could an ADD be served now? Whatever stands in its way is code 50 (rules T1, T2). */
export async function status(config: NetworkConfig, { kernel, leases }: Effects): Promise<void> {
  try {
    await kernel.inspectBridge(bridgeSpec(config));
    if (await leases.free(config, lookAt(kernel)) === 0) {
      throw poolFull(config);
    }
    leases.mustBeWritable();
  } catch (error) {
    const { message, details, code } = asCniError(error);
    if (code === 199) throw error;
    throw new CniError(50, `Cannot serve an ADD: ${message}`, { details, cause: error });
  }
}

/** Errors of steps that don't keep the next from being tried. */
class Failures {
  readonly #errors: CniError[] = [];

  async past<T>(step: () => Promise<T>): Promise<T | undefined> {
    try {
      return await step();
    } catch (error) {
      this.#errors.push(asCniError(error));
      return undefined;
    }
  }

  /** Throws the first, with what the others said and what was done all the same in its details. */
  raise(done?: string): void {
    const [first, ...others] = this.#errors;
    if (first === undefined) return;
    const all = others.reduce(
      (error, other) => error.withDetails(`then: ${other.message} (${other.details})`),
      first,
    );
    throw done === undefined ? all : all.withDetails(done);
  }
}
