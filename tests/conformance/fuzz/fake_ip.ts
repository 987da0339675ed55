import type { RunIp } from "../../../lib/netops.ts";
import type { Json } from "../../integration/host.ts";

/** A simulated network namespace. */
interface Namespace {
  readonly links: Json[];
  readonly routes: Json[];
  neighbours: Json[];
}

const empty = (): Namespace => ({ links: [], routes: [], neighbours: [] });

/** Flags of a bridge port. */
const PORT = { hairpin: false, isolated: false, learning: true, locked: false };

/** A simulated `ip`, on a host with the containers `names`. It knows enough for every step of the plugin. */
export class FakeIp {
  readonly #host: Namespace = {
    ...empty(),
    links: [{ ifindex: 1, ifname: "lo", flags: ["UP"], addr_info: [] }],
  };
  readonly #containers: ReadonlyMap<string, Namespace>;
  #index = 2;

  constructor(names: readonly string[]) {
    this.#containers = new Map(
      names.map((name) => [`/run/netns/${name}`, empty()]),
    );
  }

  /** Host veths that exist. */
  get hostVeths(): string[] {
    return this.#host.links.filter(({ kind }) => kind === "veth").map(({ ifname }) => ifname);
  }

  readonly run: RunIp = (args, stdin) => {
    const path = args.includes("-n") ? args[args.indexOf("-n") + 1] : undefined;
    const namespace = path === undefined ? this.#host : this.#container(path);
    const words = args.filter((word) => !word.startsWith("-") && word !== path);
    const batch = args.includes("-batch");
    const lines = batch ? (stdin ?? "").split("\n").filter((it) => it !== "").map(split) : [words];
    let stdout = "";
    let success = namespace !== undefined;
    for (const line of success ? lines : []) {
      // Entries of forwarding tables (-B) are listed separately from neighbours.
      const answer = this.#one(namespace ?? this.#host, line, args.includes("-B"));
      if (answer === undefined) {
        success = false;
        break;
      }
      if (answer.length > 0 || line.includes("show") || line.includes("list")) {
        stdout += `${JSON.stringify(answer)}\n`;
      }
    }
    return Promise.resolve({
      argv: ["ip", ...args],
      success,
      status: success ? 0 : 2,
      signal: null,
      stdout,
      stderr: success ? "" : "RTNETLINK answers: imagined",
    });
  };

  /** `path` leads from /run/netns up to the root and down again. */
  #container(path: string): Namespace | undefined {
    const whole = path.replace(/^(\.\.\/)+/, "/").replace(/^\/+/, "/");
    return whole === "/proc/self/ns/net" ? this.#host : this.#containers.get(whole);
  }

  /** The output of one command, `undefined` if it fails. */
  #one(at: Namespace, words: readonly string[], ofBridge: boolean): Json[] | undefined {
    const after = (word: string) => words[words.indexOf(word) + 1] ?? "";
    const named = (name: string) =>
      at.links.find((it) => it.ifname === name || `if${it.ifindex}` === name);
    const [what, verb] = words;
    const device = words.includes("dev") ? named(after("dev")) : undefined;
    if (words.includes("dev") && device === undefined && what !== "neigh") return undefined;
    switch (`${what} ${verb}`) {
      case "link add":
        return this.#add(at, words, after);
      case "link del":
        this.#remove(at, device);
        return [];
      case "link set":
        if (words.includes("alias")) device.ifalias = after("alias");
        if (words.includes("address")) device.address = after("address");
        if (words.includes("up")) device.flags = ["UP"];
        if (words.includes("promisc")) device.flags = ["UP", "PROMISC"];
        for (const flag of Object.keys(PORT)) {
          if (words.includes(flag)) device.linkinfo.info_slave_data[flag] = after(flag) === "on";
        }
        return [];
      case "addr add":
      case "addr del": {
        const [local = "", length = ""] = (words[2] ?? "").split("/");
        const rest = device.addr_info.filter((it: Json) => it.local !== local);
        device.addr_info = verb === "add" ? [...rest, { local, prefixlen: Number(length) }] : rest;
        return [];
      }
      case "route add":
      case "route append":
      case "route prepend":
        at.routes.push({
          dst: words[2],
          ...(words.includes("via") && { gateway: after("via") }),
          ...(words.includes("table") && { table: Number(after("table")) }),
          dev: device.ifname,
        });
        return [];
      case "neigh replace":
        at.neighbours.push({ dst: words[2], lladdr: after("lladdr"), dev: after("dev"), ofBridge });
        return [];
      case "neigh flush":
        at.neighbours = at.neighbours.filter(({ dst }) => dst !== after("to"));
        return [];
      case "neigh show":
        return at.neighbours.filter((it) => it.ofBridge === ofBridge && it.dev === after("dev"));
      case "route show":
        return at.routes;
      case "netns list":
        return [...this.#containers.keys()].map((path, id) => ({
          name: path.slice("/run/netns/".length),
          id,
        }));
      case "link show":
      case "addr show":
        return device !== undefined ? [device] : at.links;
      default:
        return [];
    }
  }

  #add(
    at: Namespace,
    words: readonly string[],
    after: (word: string) => string,
  ): Json[] | undefined {
    const name = after("name");
    const kind = after("type");
    if (at.links.some(({ ifname }) => ifname === name)) return undefined;
    const link = (ifname: string, more: Json) => ({
      ifindex: this.#index++,
      ifname,
      address: after("address"),
      mtu: Number(words.includes("mtu") ? after("mtu") : 1500),
      flags: words.includes("up") ? ["UP"] : [],
      addr_info: [],
      kind,
      linkinfo: { info_kind: kind, info_slave_data: { ...PORT } },
      ...more,
    });
    if (kind === "bridge") {
      at.links.push(link(name, {}));
      return [];
    }
    const inside = this.#containers.get(after("netns"));
    const ifname = words[words.indexOf("peer") + 2] ?? "";
    const master = words.includes("master") ? after("master") : "";
    if (inside === undefined || inside.links.some((it) => it.ifname === ifname)) return undefined;
    if (master !== "" && !at.links.some((it) => it.ifname === master)) return undefined;
    const id = [...this.#containers.values()].indexOf(inside);
    const host = link(name, { master, link_netnsid: id });
    const mac = "02:00:00:00:00:01";
    inside.links.push(
      link(ifname, { address: mac, link_netnsid: 0, link_index: host.ifindex }),
    );
    host.link_index = host.ifindex + 1;
    at.links.push(host);
    return [];
  }

  #remove(at: Namespace, device: Json): void {
    at.links.splice(at.links.indexOf(device), 1);
    for (const { links } of this.#containers.values()) {
      const peer = links.findIndex((it) => it.ifindex === device.link_index);
      if (peer >= 0) links.splice(peer, 1);
    }
  }
}

/** The words of a line of `ip -batch`. */
function split(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
}
