import { join } from "@std/path/posix";
import { bridgeCommands, checkPorts } from "../../bridge.ts";
import type { NetworkConfig } from "../../config.ts";
import { asCniError } from "../../errors.ts";
import { isObject, type JsonObject } from "../../fields.ts";
import { ipFailed, type IpOutput, parseIpJson, runIp } from "../../ip.ts";
import {
  type Cidr,
  contains,
  formatCidr,
  formatInterfaceAddress,
  networkOf,
  parseInterfaceAddress,
} from "../../ipv4.ts";
import { type Link, parseLink } from "../../links.ts";
import { hasLockFile } from "../../lock.ts";
import { poolOf } from "../../pool.ts";
import { bridgeSpec } from "../../plugin.ts";
import { STATE_FOLDER } from "../../scope.ts";
import { checkWritable } from "../../statefile.ts";
import { readNetworks } from "../attachments.ts";
import { failure, type Finding, finding } from "./finding.ts";
import { examineVersion } from "./iproute.ts";

/** The host as one `ip` shows it. */
export interface Host {
  readonly links: readonly Link[];
  /** As `ip -d -j addr show` has them, for what `Link` does not hold. */
  readonly raw: readonly JsonObject[];
}

/** Code 100 where `ip` is missing or is another program. */
export async function readHost(): Promise<Host> {
  const output = await must("list the host's links", ["-d", "-j", "addr", "show"]);
  const raw = parseIpJson(output)[0] ?? [];
  return { raw, links: raw.map(parseLink) };
}

async function must(action: string, args: readonly string[]): Promise<IpOutput> {
  const output = await runIp(args);
  if (!output.success) throw ipFailed(action, output);
  return output;
}

/** iproute2 itself, and whether it can enter a namespace. */
export async function examineIp(): Promise<Finding[]> {
  const version = await must("ask ip for its version", ["-V"]);
  const own = await runIp(["-n", "../../../proc/self/ns/net", "-j", "link", "show", "dev", "lo"]);
  return [
    examineVersion(version.stdout.trim()),
    own.success ? finding("ok", "namespaces", "ip can enter them") : {
      ...finding(
        "error",
        "namespaces",
        `ip can enter none: ${own.stderr.split("\n")[0]}`,
        "mkdir -p /run/netns, and run with CAP_SYS_ADMIN",
      ),
      code: 8,
    },
  ];
}

/** The bridge against what is configured. */
export function examineBridge(config: NetworkConfig, { links, raw }: Host): Finding[] {
  const spec = bridgeSpec(config);
  const bridge = links.find(({ ifname }) => ifname === spec.name);
  try {
    bridgeCommands(spec, bridge);
    checkPorts(spec.name, links);
  } catch (error) {
    return [failure("bridge", asCniError(error))];
  }
  if (bridge === undefined) {
    return [finding("ok", "bridge", `"${spec.name}" does not exist yet: the first ADD makes it`)];
  }
  const ports = links.filter(({ master }) => master === spec.name).length;
  const addresses = bridge.addresses.join(", ") || "no address yet";
  const state = bridge.up ? "up" : "down (an ADD sets it up)";
  const found: Finding[] = [
    finding(
      "ok",
      "bridge",
      `"${spec.name}": ${addresses}, ${state}, MTU ${bridge.mtu}, ports: ${ports} of 1023`,
    ),
  ];
  if (spec.mtu !== undefined && ports > 0 && bridge.mtu !== spec.mtu) {
    found.push(
      finding(
        "warning",
        "bridge",
        `"${spec.name}" has MTU ${bridge.mtu}, the configuration ${spec.mtu}: larger packets are lost between ports`,
        `set "mtu": ${bridge.mtu}, or give every port the same (ip link set dev PORT mtu ${spec.mtu})`,
      ),
    );
  }
  if (hasSpanningTree(raw, spec.name)) {
    found.push(
      finding(
        "warning",
        "bridge",
        `"${spec.name}" has the spanning tree protocol on: a new container waits some 30 s for traffic`,
        `ip link set dev ${spec.name} type bridge stp_state 0`,
      ),
    );
  }
  return found;
}

function hasSpanningTree(raw: readonly JsonObject[], name: string): boolean {
  const link = raw.find(({ ifname }) => ifname === name);
  const info = isObject(link?.["linkinfo"]) ? link["linkinfo"]["info_data"] : undefined;
  return isObject(info) && Number(info["stp_state"] ?? 0) !== 0;
}

/** Other interfaces and other networks with addresses of this subnet. */
export async function examineOverlap(config: NetworkConfig, { links }: Host): Promise<Finding[]> {
  const { subnet, bridge, name } = config;
  const remedy = `choose a subnet that nothing else on this host uses (ip -4 addr; ip -4 route)`;
  const warn = (found: string) => finding("warning", "subnet", found, remedy);
  const found = links.filter(({ ifname }) => ifname !== bridge).flatMap(({ ifname, addresses }) =>
    addresses.filter((it) => overlaps(subnet, it)).map((it) =>
      warn(`"${ifname}" has ${it}, which overlaps with ${formatCidr(subnet)}`)
    )
  );
  const routes = parseIpJson(await must("list the host's routes", ["-4", "-j", "route", "show"]));
  for (const { dst, dev } of routes[0] ?? []) {
    if (dev === bridge || links.some((it) => it.ifname === dev && it.addresses.length > 0)) {
      continue;
    }
    const target = String(dst).includes("/") ? String(dst) : `${dst}/32`;
    if (dst === "default" || !overlaps(subnet, target)) continue;
    found.push(
      warn(
        `a route to ${dst} on "${dev}" overlaps with ${formatCidr(subnet)}`,
      ),
    );
  }
  for (const { network, ledger, dataDir } of (await readNetworks()).held) {
    if (network === name && dataDir === config.dataDir) continue;
    const pool = poolOf(ledger.pool)?.subnet;
    if (pool !== undefined && overlaps(subnet, formatCidr(pool))) {
      found.push(
        warn(
          `network "${network}" has ${formatCidr(pool)}, which overlaps with ${formatCidr(subnet)}`,
        ),
      );
      continue;
    }
    const shared = Object.keys(ledger.state().ipToContainer).find((ip) =>
      overlaps(subnet, `${ip}/32`)
    );
    if (shared === undefined) continue;
    found.push(
      warn(`network "${network}" holds ${shared}, which is in ${formatCidr(subnet)} too`),
    );
  }
  return found.length > 0
    ? found
    : [finding("ok", "subnet", `nothing else uses ${formatCidr(subnet)}`)];
}

function overlaps(subnet: Cidr, address: string): boolean {
  const { ip, prefix } = parseInterfaceAddress(address);
  return prefix >= subnet.prefix
    ? contains(subnet, ip)
    : contains({ base: networkOf(ip, prefix), prefix }, subnet.base);
}

/** Forwarding as `ip netconf` shows it; of the packet filter nothing can be seen through `ip`. */
export async function examineForwarding(
  { bridge, subnet, gateway }: NetworkConfig,
): Promise<Finding[]> {
  const output = await runIp(["-4", "-j", "netconf", "show"]);
  const entries = output.success ? parseIpJson(output)[0] ?? [] : [];
  const of = (name: string) => entries.find((it) => it["interface"] === name)?.["forwarding"];
  const forwarding = of(bridge) ?? of("default");
  const sight = forwarding === undefined
    ? finding("note", "forwarding", "ip does not show it", "sysctl net.ipv4.ip_forward")
    : forwarding === true
    ? finding("ok", "forwarding", "the kernel forwards between the bridge and other interfaces")
    : finding(
      "warning",
      "forwarding",
      `off for "${bridge}": containers reach each other and ${
        formatInterfaceAddress({ ip: gateway, prefix: subnet.prefix })
      }, and nothing beyond`,
      "sysctl -w net.ipv4.ip_forward=1",
    );
  return [
    sight,
    finding(
      "note",
      "masquerade",
      `what leaves the host with an address of ${formatCidr(subnet)} needs it, or routes back; ` +
        "packet filters can't be seen through ip",
      "nft list ruleset | grep masquerade; rules that do it: atomicni host-rules < CONFIGURATION",
    ),
  ];
}

/** Owner and mode of the folder, and that it can be written; as far as that shows without writing. */
export function examineFolder({ dataDir }: NetworkConfig): Finding[] {
  let found: Deno.FileInfo;
  try {
    checkWritable(dataDir);
    found = Deno.lstatSync(dataDir);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return [finding("ok", "folder", `${dataDir} does not exist yet: the first ADD makes it`)];
    }
    return [failure("folder", asCniError(error))];
  }
  const mode = ((found.mode ?? 0) & 0o7777).toString(8).padStart(4, "0");
  const isOpen = mode !== "0700" && dataDir.startsWith(STATE_FOLDER);
  return [
    finding(
      isOpen ? "warning" : "ok",
      "folder",
      `${dataDir}: root's, mode ${mode}${isOpen ? ", others can look in" : ""}`,
      isOpen ? `chmod 700 ${dataDir}` : "",
    ),
  ];
}

/** Whether the network's lock is one, and free at this moment. */
export function examineLock({ dataDir, name }: NetworkConfig): Finding[] {
  const path = join(dataDir, `${name}.lock`);
  try {
    if (!hasLockFile(path)) return [finding("ok", "lock", "not made yet")];
    using file = Deno.openSync(path, { read: true });
    if (file.tryLockSync()) return [finding("ok", "lock", `${path} is free`)];
    const bytes = new Uint8Array(200);
    const holder = new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0)).trim();
    return [
      finding(
        "warning",
        "lock",
        `${path} is held${holder === "" ? "" : ` by ${holder}`}: an ADD waits for it 10 s at most`,
        `fuser -v ${path}`,
      ),
    ];
  } catch (error) {
    return [failure("lock", asCniError(error))];
  }
}
