import type { PortFlags, Route } from "./addressing.ts";
import { bridgeCommands, type BridgeSpec, checkPorts } from "./bridge.ts";
import { asCniError, CniError, quote } from "./errors.ts";
import { ipFailed, type IpOutput, parseIpJson, runBatch, type RunIp } from "./ip.ts";
import { type Cidr, formatCidr, formatInterfaceAddress, formatIpv4, type Ipv4 } from "./ipv4.ts";
import { type Link, parseLink, parseRouteFound, type RouteFound } from "./links.ts";
import { type InterfaceName, isHostVethName, type Mac } from "./names.ts";
import type { Rollback } from "./rollback.ts";

/** A veth from a bridge into a container. */
export interface PlugSpec extends Pick<PortFlags, "hairpin" | "isolated"> {
  readonly bridge: BridgeSpec;
  readonly host: InterfaceName;
  /** The host end's MAC, this run's alone: by it the run knows what it made. */
  readonly hostMac: Mac;
  readonly alias: string;
  readonly netns: string;
  readonly ifname: InterfaceName;
}

/** What was read back after plugging. */
export interface Plugged {
  readonly bridge: Link;
  readonly host: Link;
}

/** The container's side of an attachment. */
export interface InsideSpec {
  readonly netns: string;
  readonly ifname: InterfaceName;
  /** Index of `ifname` there, so that nothing is given to one that another run put in its place. */
  readonly ifindex: number | undefined;
  readonly mac: Mac;
  readonly ip: Ipv4;
  readonly subnet: Cidr;
  readonly routes: readonly Route[];
}

/** What CHECK compares; a link that does not exist is `undefined`. */
export interface Seen {
  readonly bridge: Link | undefined;
  readonly host: Link | undefined;
  readonly inside: Link | undefined;
  readonly routes: readonly RouteFound[];
}

/** The namespace behind a host veth. */
export interface Inside {
  /** Name below /run/netns. */
  readonly netns: string;
  readonly links: readonly Link[];
  /** The veth's other end, one of them. */
  readonly peer: Link;
}

/** What can be prepared before it is known what shall be done. */
export type Step = "plug" | "configure" | "unplug" | "inspect" | "inspect inside";

/** What is done to the kernel. Each throws code 100 where `ip` fails and 11 where it takes too long. */
export interface Kernel {
  /** Starts what `step` will run first, so that it is there by then; until then it does nothing. */
  expect(step: Step, netns: string): void;
  /** Makes the veth, and the bridge where it is missing. Pushes how to take the veth back. Codes 8, 103, 105. */
  plug(spec: PlugSpec, undo: Rollback): Promise<Plugged>;
  /** MAC, up, address and routes inside the container. Code 8. */
  configure(spec: InsideSpec): Promise<void>;
  /** Makes the host ask anew for the MAC behind `ip`; success where there is no such bridge. */
  forgetNeighbour(bridge: InterfaceName, ip: Ipv4): Promise<void>;
  /** Removes a host veth; success where it is gone already. */
  unplug(host: string): Promise<void>;
  /** Removes this very host veth; one that another run has put in its place stays. */
  remove(host: Link): Promise<void>;
  /** Every host veth of this plugin, by name. */
  hostVeths(): Promise<Map<string, Link>>;
  /** Every veth of the host, by name, whoever made it. */
  veths(): Promise<Map<string, Link>>;
  /** What is behind each of these host veths, by name; left out where its namespace can't be found. */
  lookInside(hosts: readonly Link[]): Promise<Map<string, Inside>>;
  /** Code 8 where the namespace can't be entered. */
  inspect(
    bridge: InterfaceName,
    host: InterfaceName,
    netns: string,
    ifname: InterfaceName,
  ): Promise<Seen>;
  /** Code 105 where the bridge could not be made what is configured. */
  inspectBridge(spec: BridgeSpec): Promise<void>;
}

/** Looks and mends between tries; more would be a fight with somebody. */
const TRIES = 4;

export class IpKernel implements Kernel {
  readonly #run: RunIp;
  readonly #startBatch: (options: readonly string[]) => void;

  /** `startBatch` starts a batch that a later `run` with these options goes on with. */
  constructor(run: RunIp, startBatch: (options: readonly string[]) => void = () => {}) {
    this.#run = run;
    this.#startBatch = startBatch;
  }

  expect(step: Step, netns: string): void {
    this.#startBatch(firstOptions(step, netns));
  }

  async plug(spec: PlugSpec, undo: Rollback): Promise<Plugged> {
    for (let tries = 1;; tries++) {
      const outcome = await this.#tryPlug(spec, undo, tries);
      if ("host" in outcome) return { ...outcome, bridge: await this.#settle(spec, outcome) };
      await this.#prepare(spec, outcome);
      if (tries === TRIES) {
        throw ipFailed(`plug "${spec.host}" into "${spec.bridge.name}"`, outcome);
      }
    }
  }

  /** One batch: make the veth and read back what came of it. The failed output where nothing was made. */
  async #tryPlug(spec: PlugSpec, undo: Rollback, tries: number): Promise<Plugged | IpOutput> {
    const { host, hostMac } = spec;
    const output = await runBatch(this.#run, SHOWN, plugCommands(spec)).catch((error) => {
      // It may have been made before time was up; only an ip that did not start has made nothing.
      if (tries === 1 && asCniError(error).code === 11) this.#willRemove(spec, undo);
      throw error;
    });
    if (tries === 1) this.#willRemove(spec, undo);
    // The batch stops at its first failure: without the second command's answer the first may have made nothing.
    if (!output.success && output.signal === null && output.stdout.trim() === "") return output;
    if (!output.success) throw ipFailed(`set up the host veth "${host}"`, output);
    const [[made] = [], [bridge] = []] = parseIpJson(output);
    if (made?.["address"] !== hostMac || bridge === undefined) {
      throw ipFailed(`read back "${host}"`, output);
    }
    return { host: parseLink(made), bridge: parseLink(bridge) };
  }

  #willRemove({ host, hostMac }: PlugSpec, undo: Rollback): void {
    undo.push(`remove the host veth "${host}"`, () => this.#removeOwn(host, hostMac));
  }

  /** The veth stands; is it in two namespaces, and the bridge what it must be? Returns the bridge as it is then. */
  async #settle(spec: PlugSpec, { host, bridge }: Plugged): Promise<Link> {
    if (host.netnsId === undefined) throw ownNamespace(spec.netns);
    return await this.#mendBridge(spec.bridge, bridge);
  }

  /** Why could nothing be made? Mends what can be mended and throws what can't; touches nothing before it knows. */
  async #prepare(spec: PlugSpec, output: IpOutput): Promise<void> {
    const { netns, ifname, host } = spec;
    // One after the other: a veth that stands before the container lacks its other end is left over, not just made.
    const links = await this.#links();
    const inside = await this.#linksInside(netns);
    const standing = links.find((link) => link.ifname === host);
    if (standing?.mac === spec.hostMac) throw ipFailed(`read back "${host}"`, output);
    const taken = inside.some((link) => link.ifname === ifname);
    if (standing?.netnsId !== undefined && taken) throw interfaceExists(spec);
    if (standing !== undefined) await this.#removeByIndex(standing, links);
    const suspect = inside.every((link) =>
      links.some((it) => it.ifindex === link.ifindex && it.mac === link.mac)
    );
    if (suspect && await this.#isOwnNamespace(spec, links)) throw ownNamespace(netns);
    if (taken) throw interfaceExists(spec);
    checkPorts(spec.bridge.name, links);
    await this.#mendBridge(spec.bridge, links.find((link) => link.ifname === spec.bridge.name));
  }

  /** Makes a veth into the namespace under the host veth's own name, so that a DEL sees it, and removes it again. */
  async #isOwnNamespace(
    { host, hostMac, netns }: PlugSpec,
    links: readonly Link[],
  ): Promise<boolean> {
    const output = await this.#must(
      `look whether "${netns}" is another namespace`,
      runBatch(this.#run, ["-j"], [
        [
          "link",
          "add",
          "name",
          host,
          "address",
          hostMac,
          "type",
          "veth",
          "peer",
          "name",
          `ap${host.slice(2)}`,
          "netns",
          netns,
        ],
        ["link", "show", "dev", host],
      ]),
    );
    const [made] = (parseIpJson(output)[0] ?? []).map(parseLink);
    if (made?.mac !== hostMac) throw ipFailed(`read back "${host}"`, output);
    await this.#removeByIndex(made, links);
    return made.netnsId === undefined;
  }

  async #mendBridge(spec: BridgeSpec, found: Link | undefined): Promise<Link> {
    let bridge = found;
    for (let tries = 1;; tries++) {
      const commands = bridgeCommands(spec, bridge);
      if (bridge !== undefined && commands.length === 0) return bridge;
      const output = await runBatch(this.#run, [], commands);
      bridge = (await this.#links()).find((link) => link.ifname === spec.name);
      // Another run may do the same at this moment: what counts is what stands in the end.
      if (tries === TRIES) throw ipFailed(`make the bridge "${spec.name}"`, output);
    }
  }

  async configure(spec: InsideSpec): Promise<void> {
    const output = await runBatch(this.#run, enter(spec.netns), insideCommands(spec));
    if (output.success) return;
    const links = await this.#linksInside(spec.netns);
    if (!links.some(({ ifname }) => ifname === spec.ifname)) {
      throw ipFailed(`configure "${spec.ifname}", which is gone from "${spec.netns}"`, output);
    }
    throw await this.#routeConflict(spec) ??
      ipFailed(`configure "${spec.ifname}" in "${spec.netns}"`, output);
  }

  /** The error for a route that somebody else has in the container already; `undefined` where there is none. */
  async #routeConflict({ netns, ifname, routes }: InsideSpec): Promise<CniError | undefined> {
    const found = (await this.#routesInside(netns)).find((route) =>
      route.dev !== ifname && route.table === "main" &&
      routes.some(({ dst }) => formatCidr(dst) === route.dst)
    );
    if (found === undefined) return undefined;
    const there = `${found.gw === "" ? "" : `via ${found.gw} `}dev ${found.dev}`;
    return new CniError(
      100,
      `Cannot add a route to "${found.dst}" for "${ifname}": one ${there} is there already`,
      {
        details:
          'for a second network of a container set "ipam": {"routes": []}, or routes that it does not have yet',
      },
    );
  }

  async forgetNeighbour(bridge: InterfaceName, ip: Ipv4): Promise<void> {
    const output = await this.#run(["neigh", "flush", "to", formatIpv4(ip), "dev", bridge]);
    if (output.success || !(await this.#links()).some(({ ifname }) => ifname === bridge)) return;
    throw ipFailed(`flush the neighbour ${formatIpv4(ip)} of "${bridge}"`, output);
  }

  async unplug(host: string): Promise<void> {
    const output = await runBatch(this.#run, [], [["link", "del", "dev", host]]);
    if (output.success) return;
    if ((await this.#links()).some(({ ifname }) => ifname === host)) {
      throw ipFailed(`remove the host veth "${host}"`, output);
    }
  }

  async remove({ ifindex, ifname }: Link): Promise<void> {
    const links = await this.#links();
    const standing = links.find((link) => link.ifindex === ifindex && link.ifname === ifname);
    if (standing !== undefined) await this.#removeByIndex(standing, links);
  }

  /** Removes the host veth if it is the one this run made. */
  async #removeOwn(host: string, mac: Mac): Promise<void> {
    const links = await this.#links();
    const own = links.find((link) => link.ifname === host && link.mac === mac);
    if (own !== undefined) await this.#removeByIndex(own, links);
  }

  /** By index, so that a veth that another run puts in its place meanwhile stays. */
  async #removeByIndex({ ifname, ifindex }: Link, links: readonly Link[]): Promise<void> {
    const index = `if${ifindex}`;
    const name = links.some((link) => link.ifname === index) ? ifname : index;
    const output = await this.#run(["link", "del", "dev", name]);
    if (output.success || !(await this.#links()).some((link) => link.ifindex === ifindex)) return;
    throw ipFailed(`remove the host veth "${ifname}"`, output);
  }

  async hostVeths(): Promise<Map<string, Link>> {
    return new Map([...await this.veths()].filter(([name]) => isHostVethName(name)));
  }

  async veths(): Promise<Map<string, Link>> {
    const output = await this.#must(
      "list the host's veths",
      this.#run(["-j", "link", "show", "type", "veth"]),
    );
    const links = (parseIpJson(output)[0] ?? []).map(parseLink);
    return new Map(links.map((link) => [link.ifname, link]));
  }

  async lookInside(hosts: readonly Link[]): Promise<Map<string, Inside>> {
    const found = new Map<string, Inside>();
    if (hosts.length === 0) return found;
    const output = await this.#must("list the namespaces", this.#run(["-j", "netns", "list"]));
    for (const { id, name } of parseIpJson(output)[0] ?? []) {
      const behind = hosts.filter(({ netnsId }) => netnsId !== undefined && netnsId === id);
      if (behind.length === 0) continue;
      const netns = String(name);
      const links = await this.#linksIfThere(`/run/netns/${netns}`);
      for (const { ifname, peerIndex } of behind) {
        const peer = links.find(({ ifindex }) => ifindex === peerIndex);
        if (peer !== undefined) found.set(ifname, { netns, links, peer });
      }
    }
    return found;
  }

  async inspect(
    bridge: InterfaceName,
    host: InterfaceName,
    netns: string,
    ifname: InterfaceName,
  ): Promise<Seen> {
    const [outside, within] = await Promise.all([
      runBatch(this.#run, SHOWN, [["addr", "show", "dev", bridge], [
        "link",
        "show",
        "dev",
        host,
      ]]),
      runBatch(this.#run, shownInside(netns), [
        ["addr", "show", "dev", ifname],
        ["route", "show", "table", "all", "dev", ifname],
      ]),
    ]);
    const found = outside.success
      ? parseIpJson(outside).flat().map(parseLink)
      : await this.#links();
    // Without a failure of its own, a batch about a missing link says no more than that the link is missing.
    const [links = [], routes = []] = within.success ? parseIpJson(within) : [];
    const inside = within.success ? links.map(parseLink) : await this.#linksInside(netns);
    return {
      bridge: found.find((link) => link.ifname === bridge),
      host: found.find((link) => link.ifname === host),
      inside: inside.find((link) => link.ifname === ifname),
      routes: routes.flatMap((route) => parseRouteFound({ dev: ifname, ...route }) ?? []),
    };
  }

  async inspectBridge(spec: BridgeSpec): Promise<void> {
    const links = await this.#links();
    bridgeCommands(spec, links.find((link) => link.ifname === spec.name));
    checkPorts(spec.name, links);
  }

  async #links(): Promise<Link[]> {
    const output = await this.#must(
      "list the host's links",
      this.#run([...SHOWN, "addr", "show"]),
    );
    return (parseIpJson(output)[0] ?? []).map(parseLink);
  }

  async #linksInside(netns: string): Promise<Link[]> {
    const output = await this.#run([...shownInside(netns), "addr", "show"]);
    if (!output.success) throw await this.#namespaceError(netns, output);
    return (parseIpJson(output)[0] ?? []).map(parseLink);
  }

  /** None where the namespace went away since it was listed. */
  async #linksIfThere(netns: string): Promise<Link[]> {
    try {
      return await this.#linksInside(netns);
    } catch (error) {
      if (error instanceof CniError && error.code === 8) return [];
      throw error;
    }
  }

  async #routesInside(netns: string): Promise<RouteFound[]> {
    const output = await this.#must(
      "list routes",
      this.#run([...shownInside(netns), "route", "show", "table", "all"]),
    );
    return (parseIpJson(output)[0] ?? []).flatMap((route) => parseRouteFound(route) ?? []);
  }

  /** Is it this namespace that can't be entered, or any? `ip`'s own can always be, if `ip -n` works at all. */
  async #namespaceError(netns: string, output: IpOutput): Promise<CniError> {
    const own = await this.#run([...enter("/proc/self/ns/net"), "-j", "link", "show", "dev", "lo"]);
    const remedy = own.success
      ? "it must be the path of a network namespace that exists, such as /run/netns/NAME"
      : "ip -n works for no namespace here: make the folder it starts from (mkdir -p /run/netns), and run with CAP_SYS_ADMIN";
    return new CniError(
      8,
      `Cannot use CNI_NETNS ${quote(netns)} as a network namespace: ip can't enter it`,
      {
        details: `${remedy}; ${asCniError(ipFailed("enter it", output)).details}`,
      },
    );
  }

  async #must(action: string, running: Promise<IpOutput>): Promise<IpOutput> {
    const output = await running;
    if (!output.success) throw ipFailed(action, output);
    return output;
  }
}

/** `ip -n` takes names below /run/netns alone, so a path goes in as the way up and down again. */
function enter(netns: string): readonly string[] {
  return ["-n", `../../..${netns}`];
}

/** All that there is to see of a link, as JSON. */
const SHOWN = ["-d", "-j"];

function shownInside(netns: string): readonly string[] {
  return [...enter(netns), "-j"];
}

function firstOptions(step: Step, netns: string): readonly string[] {
  switch (step) {
    case "plug":
    case "inspect":
      return SHOWN;
    case "configure":
      return enter(netns);
    case "unplug":
      return [];
    case "inspect inside":
      return shownInside(netns);
  }
}

function plugCommands(
  { host, hostMac, bridge, ifname, netns, alias, hairpin, isolated }: PlugSpec,
): string[][] {
  const mtu = bridge.mtu === undefined ? [] : ["mtu", String(bridge.mtu)];
  const flags = [...(hairpin ? ["hairpin", "on"] : []), ...(isolated ? ["isolated", "on"] : [])];
  return [
    [
      ...[
        "link",
        "add",
        "name",
        host,
        "address",
        hostMac,
        ...mtu,
        "master",
        bridge.name,
        "up",
        "type",
        "veth",
      ],
      ...["peer", "name", ifname, ...mtu, "netns", netns],
    ],
    // `link show` would make this process leave out the addresses of what it shows afterwards.
    ["addr", "show", "dev", host],
    ["link", "set", "dev", host, "alias", alias],
    ...(flags.length > 0 ? [["link", "set", "dev", host, "type", "bridge_slave", ...flags]] : []),
    ["addr", "show", "dev", bridge.name],
  ];
}

function insideCommands(
  { ifname, ifindex, mac, ip, subnet, routes }: InsideSpec,
): string[][] {
  const dev = ifindex === undefined ? ifname : `if${ifindex}`;
  return [
    ["link", "set", "dev", dev, "address", mac, "up"],
    [
      "addr",
      "add",
      formatInterfaceAddress({ ip, prefix: subnet.prefix }),
      "brd",
      "+",
      "dev",
      dev,
    ],
    ...routes.map((route, index) => {
      // A second next hop for one destination is appended; a destination somebody else has is a conflict.
      const again = routes.slice(0, index).some((it) =>
        formatCidr(it.dst) === formatCidr(route.dst) && it.table === route.table &&
        it.priority === route.priority
      );
      return ["route", again ? "append" : "add", ...routeWords(route, dev)];
    }),
  ];
}

function routeWords(
  { dst, via, mtu, advmss, priority, table, scope }: Route,
  dev: string,
): string[] {
  const word = (name: string, value: number | undefined) =>
    value === undefined ? [] : [name, String(value)];
  return [
    formatCidr(dst),
    ...(via === undefined ? [] : ["via", formatIpv4(via)]),
    ...["dev", dev],
    ...word("mtu", mtu),
    ...word("advmss", advmss),
    ...word("metric", priority),
    ...word("table", table),
    ...word("scope", scope),
  ];
}

function ownNamespace(netns: string): CniError {
  return new CniError(
    8,
    `Cannot use CNI_NETNS ${quote(netns)} as a container's: it is the plugin's own namespace`,
    {
      details:
        "plugin's netns and netns from CNI_NETNS should not be the same; pods of the host's network need no CNI",
    },
  );
}

function interfaceExists({ ifname, netns }: PlugSpec): CniError {
  return new CniError(
    103,
    `Cannot make "${ifname}" in "${netns}": an interface of that name exists there`,
    {
      details: "an attachment is added once: DEL it first, or choose another CNI_IFNAME",
    },
  );
}
