import type { IpOutput } from "../../../lib/ip.ts";

/** One end of a veth, or a bridge. Indices are unique over all namespaces. */
export interface ModelLink {
  readonly index: number;
  /** Name below /run/netns; empty for the host. */
  readonly netns: string;
  readonly name: string;
  readonly kind: "bridge" | "veth";
  readonly peer?: number;
  mac: string;
  alias: string;
  master: string;
  up: boolean;
  addresses: string[];
}

/** What the model knows of a kernel: plain data, so that it can be copied, compared and put back. */
export interface ModelKernel {
  links: ModelLink[];
  readonly containers: readonly string[];
  /** How many links each run made: gives each an index that does not depend on what others do. */
  made: Record<string, number>;
}

/** One `ip` command line as the runs give it: where it acts, and its lines, one or a batch of several. */
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

/** Does one line to `kernel`, as run `by`. Returns what it prints, or why the kernel refuses it. */
export function perform(
  kernel: ModelKernel,
  by: string,
  netns: string,
  line: readonly string[],
): unknown[] | string | undefined {
  const verb = `${line[0]} ${line[1]}`;
  const here = kernel.links.filter((link) => link.netns === netns);
  const dev = named(here, after(line, "dev"));
  switch (verb) {
    case "link add":
      return addLink(kernel, by, line);
    case "link del":
      if (dev === undefined) return "Cannot find device";
      kernel.links = kernel.links.filter((it) => it !== dev && it.index !== dev.peer);
      return undefined;
    case "link set":
      return dev === undefined ? "Cannot find device" : setLink(dev, line);
    case "addr add": {
      const address = line[2] ?? "";
      if (dev === undefined) return "Cannot find device";
      if (dev.addresses.includes(address)) return "Address already assigned.";
      dev.addresses.push(address);
      return undefined;
    }
    case "route add":
      return dev === undefined ? "Cannot find device" : undefined;
    case "route show":
      return [];
    case "netns list":
      return kernel.containers.map((name, id) => ({ name, id }));
    case "link show":
    case "addr show": {
      if (line.includes("dev")) {
        return dev === undefined ? "does not exist." : [shown(kernel, dev)];
      }
      const lo = { ifindex: 1, ifname: "lo", address: "00:00:00:00:00:00" };
      if (verb === "addr show") return [lo, ...here.map((link) => shown(kernel, link))];
      return here.filter(({ kind }) => kind === "veth").map((link) =>
        shown(kernel, { ...link, up: true, addresses: [] })
      );
    }
  }
  throw new Error(`the model knows no "ip ${line.join(" ")}"`);
}

function after(line: readonly string[], word: string): string | undefined {
  const at = line.indexOf(word);
  return at < 0 ? undefined : line[at + 1];
}

function named(links: readonly ModelLink[], name: string | undefined): ModelLink | undefined {
  return links.find((link) => link.name === name || `if${link.index}` === name);
}

function addLink(kernel: ModelKernel, by: string, line: readonly string[]): string | undefined {
  const here = kernel.links.filter((link) => link.netns === "");
  const name = after(line, "name") ?? "";
  const mac = after(line, "address") ?? "";
  if (named(here, name)) return "File exists";
  const index = 100 * (by.charCodeAt(0) - 60) + 2 * (kernel.made[by] = (kernel.made[by] ?? 0) + 1);
  const plain = { alias: "", up: line.includes("up"), addresses: [] };
  if (!line.includes("peer")) {
    kernel.links.push({ ...plain, index, netns: "", name, kind: "bridge", mac, master: "" });
    return undefined;
  }
  const netns = after(line, "netns")?.split("/").at(-1) ?? "";
  const inside = line.slice(line.indexOf("peer"));
  const other = after(inside, "name") ?? "";
  const master = after(line, "master") ?? "";
  if (master !== "" && !named(here, master)) return "Cannot find master";
  if (kernel.links.some((it) => it.netns === netns && it.name === other)) return "File exists";
  const veth = { ...plain, kind: "veth" as const };
  kernel.links.push(
    { ...veth, index, netns: "", name, mac, master, peer: index + 1 },
    {
      ...veth,
      index: index + 1,
      netns,
      name: other,
      mac: "",
      master: "",
      peer: index,
      up: false,
      addresses: [],
    },
  );
  kernel.links.sort((left, right) => left.index - right.index);
  return undefined;
}

function setLink(link: ModelLink, line: readonly string[]): undefined {
  if (line.includes("alias")) link.alias = line.slice(line.indexOf("alias") + 1).join(" ");
  link.mac = after(line, "address") ?? link.mac;
  if (line.includes("up")) link.up = true;
}

function shown(kernel: ModelKernel, link: ModelLink): unknown {
  const peer = kernel.links.find(({ index }) => index === link.peer);
  return {
    ifindex: link.index,
    ifname: link.name,
    address: link.mac,
    mtu: 1500,
    flags: link.up ? ["UP"] : [],
    master: link.master,
    ifalias: link.alias,
    linkinfo: { info_kind: link.kind },
    ...(peer && { link_index: peer.index }),
    ...(peer && peer.netns !== link.netns &&
      { link_netnsid: kernel.containers.indexOf(peer.netns) }),
    addr_info: link.addresses.map((address) => ({
      family: "inet",
      local: address.split("/")[0],
      prefixlen: Number(address.split("/")[1]),
    })),
  };
}
