import type { IpOutput } from "../../../lib/netops/ip.ts";
import { addLink, deleteLink, linkNamed, setLink } from "./links.ts";
import { type ModelKernel, type ModelLink, type Neighbour, word } from "./kernel.ts";

/** One `ip` command of a run: its namespace, and its line or the lines of its batch. */
export interface ModelCommand {
  readonly netns: string;
  readonly lines: readonly string[][];
}

export function parseCommand(args: readonly string[], stdin: string | undefined): ModelCommand {
  const words = [...args];
  let netns = "";
  while (words[0]?.startsWith("-") && words[0] !== "-batch") {
    if (words.shift() === "-n") netns = words.shift()?.split("/").at(-1) ?? "";
  }
  if (words[0] !== "-batch") return { netns, lines: [words] };
  const lines = (stdin ?? "").split("\n").filter((line) => line !== "");
  return { netns, lines: lines.map((line) => line.split(" ").map((it) => it.replaceAll('"', ""))) };
}

export function outputOf(stdout: readonly unknown[][], failed?: string): IpOutput {
  return {
    argv: ["ip"],
    success: failed === undefined,
    status: failed === undefined ? 0 : 1,
    signal: null,
    stdout: stdout.map((list) => `${JSON.stringify(list)}\n`).join(""),
    stderr: failed ?? "",
  };
}

/** Performs one line on `kernel` for run `by`. Returns its output, or the kernel's refusal. */
export function perform(
  kernel: ModelKernel,
  by: string,
  netns: string,
  line: readonly string[],
): unknown[] | string | undefined {
  const verb = `${line[0]} ${line[1]}`;
  const here = kernel.links.filter((link) => link.netns === netns);
  if (verb === "netns list") return kernel.containers.map((name, id) => ({ name, id }));
  if (verb === "link add") return addLink(kernel, by, line);
  if (verb === "route show") return [];
  if (verb === "link show" || verb === "addr show") return show(kernel, here, line);
  if (verb === "neigh show") return entries(here);
  const dev = linkNamed(here, word(line, "dev"));
  if (dev === undefined) return "Cannot find device";
  switch (verb) {
    case "link del":
      return deleteLink(kernel, dev);
    case "link set":
      return setLink(kernel, dev, line);
    case "addr add":
      return addAddress(dev, line[2] ?? "");
    case "neigh add": {
      const mac = word(line, "lladdr");
      const taken = entries(here).some(({ lladdr }) => lladdr === mac);
      return taken ? "RTNETLINK answers: File exists" : replaceNeighbour(dev, line);
    }
    case "neigh replace":
      return replaceNeighbour(dev, line);
    case "neigh flush":
      dev.neighbours = dev.neighbours.filter(({ ip }) => ip !== word(line, "to"));
      return undefined;
    case "route add":
    case "route append":
    case "route prepend":
      return undefined;
  }
  throw new Error(`the model knows no "ip ${line.join(" ")}"`);
}

/** The entries of the forwarding tables: the bridge's own entries, and the entries of ports. */
function entries(here: readonly ModelLink[]) {
  return here.flatMap(({ name, kind, mac, entries: made }) => [
    ...(kind === "bridge" ? [{ dev: name, lladdr: mac, state: ["PERMANENT"] }] : []),
    ...made.map((lladdr) => ({ dev: name, lladdr, state: ["NOARP"] })),
  ]);
}

function addAddress(dev: ModelLink, address: string): string | undefined {
  if (dev.addresses.includes(address)) return "Address already assigned.";
  dev.addresses.push(address);
  return undefined;
}

/** A permanent neighbour, or (`any`) a static entry of the forwarding table of the bridge that the port is in. */
function replaceNeighbour(dev: ModelLink, line: readonly string[]): string | undefined {
  const mac = word(line, "lladdr") ?? "";
  const ip = line[2] ?? "";
  if (ip === "any") {
    if (dev.master === "") return "Operation not supported";
    if (!dev.entries.includes(mac)) dev.entries.push(mac);
    return undefined;
  }
  const others = dev.neighbours.filter((it: Neighbour) => it.ip !== ip);
  dev.neighbours = [...others, { ip, mac }].sort((a, b) => a.ip < b.ip ? -1 : 1);
  return undefined;
}

function show(
  kernel: ModelKernel,
  here: readonly ModelLink[],
  line: readonly string[],
): unknown[] | string {
  if (line.includes("dev")) {
    const dev = linkNamed(here, word(line, "dev"));
    return dev === undefined ? "does not exist." : [shown(kernel, dev)];
  }
  const lo = { ifindex: 1, ifname: "lo", address: "00:00:00:00:00:00" };
  if (line[0] === "addr") return [lo, ...here.map((link) => shown(kernel, link))];
  const isShown = ({ kind, master }: ModelLink) =>
    kind === "veth" && (master === "" || !line.includes("nomaster"));
  return here.filter(isShown).map((link) => shown(kernel, { ...link, up: true, addresses: [] }));
}

function shown(kernel: ModelKernel, link: ModelLink): unknown {
  const peer = kernel.links.find(({ index }) => index === link.peer);
  const { learning, locked } = link;
  return {
    ifindex: link.index,
    ifname: link.name,
    address: link.mac,
    mtu: 1500,
    flags: link.up ? ["UP"] : [],
    master: link.master,
    ifalias: link.alias,
    group: link.group,
    linkinfo: {
      info_kind: link.kind,
      ...(link.master !== "" && { info_slave_data: { learning, locked } }),
    },
    ...(peer && { link_index: peer.index }),
    ...(peer && peer.netns !== link.netns &&
      { link_netnsid: kernel.containers.indexOf(peer.netns) }),
    addr_info: link.addresses.map((address) => ({
      family: address.includes(":") ? "inet6" : "inet",
      local: address.split("/")[0],
      prefixlen: Number(address.split("/")[1]),
    })),
  };
}
