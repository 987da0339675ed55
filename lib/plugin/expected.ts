import { type InterfaceAddress, type Ip, parseInterfaceAddress, tryIp } from "../base/address.ts";
import type { InterfaceName } from "../base/names.ts";
import { isInSubnets } from "../base/range.ts";
import type { NetworkConfig } from "../config.ts";
import type { Lease } from "../ipam.ts";
import type { Result } from "../result.ts";

/** The expected values of an attachment, for CHECK. */
export interface Expected {
  readonly config: NetworkConfig;
  readonly prevResult: Result;
  readonly host: InterfaceName;
  readonly ifname: InterfaceName;
  readonly netns: string;
  /** The lease; `undefined` if the state has none. */
  readonly lease: Lease | undefined;
}

/** An address of this network in the result, with its gateway if the result has one. */
export interface Listed {
  readonly ip: Ip;
  readonly prefix: number;
  readonly gateway: Ip | undefined;
}

/** The network's addresses in `prevResult`. Later plugins may have added or removed addresses (rule K2). */
export function listedAddresses({ config, prevResult, ifname }: Expected): Listed[] {
  return prevResult.ips.flatMap((it) => {
    const { ip, prefix } = parseInterfaceAddress(it.address);
    const on = it.interface === undefined ? undefined : prevResult.interfaces[it.interface];
    const isOn = on === undefined || (on.name === ifname && on.sandbox !== undefined);
    const gateway = it.gateway === undefined ? undefined : tryIp(it.gateway);
    return isOn && isInSubnets(config.sets, ip) ? [{ ip, prefix, gateway }] : [];
  });
}

/** The bridge's gateways in the result. The present configuration may have more. */
export function listedGateways(expected: Expected): InterfaceAddress[] {
  if (!expected.config.gatewayOnBridge) return [];
  return listedAddresses(expected).flatMap(({ gateway, prefix }) =>
    gateway === undefined ? [] : [{ ip: gateway, prefix }]
  );
}

/** One line if the two values differ. */
export function differ(what: string, expected: unknown, found: unknown): string[] {
  return expected === found ? [] : [`${what}: expected ${expected}, found ${found}`];
}
