import { type ModelKernel, type ModelLink, PLAIN, word } from "./kernel.ts";

/** `ip` reads `if3` as the interface of index 3 if no interface has that name. */
export function linkNamed(
  links: readonly ModelLink[],
  name: string | undefined,
): ModelLink | undefined {
  return links.find((link) => link.name === name) ??
    links.find((link) => `if${link.index}` === name);
}

export function addLink(
  kernel: ModelKernel,
  by: string,
  line: readonly string[],
): string | undefined {
  const here = kernel.links.filter((link) => link.netns === "");
  const name = word(line, "name") ?? "";
  const mac = word(line, "address") ?? "";
  if (here.some((link) => link.name === name)) return "File exists";
  const made = kernel.made[by] = (kernel.made[by] ?? 0) + 1;
  const index = 100 * (by.charCodeAt(0) - 60) + 2 * made;
  const plain = { ...structuredClone(PLAIN), netns: "", up: line.includes("up") };
  if (!line.includes("peer")) {
    kernel.links.push({ ...plain, index, name, kind: "bridge", mac });
    return undefined;
  }
  const netns = word(line, "netns")?.split("/").at(-1) ?? "";
  const inside = line.slice(line.indexOf("peer"));
  const other = word(inside, "name") ?? "";
  const master = word(line, "master") ?? "";
  if (master !== "" && !here.some((link) => link.name === master)) return "Cannot find master";
  if (kernel.links.some((it) => it.netns === netns && it.name === other)) return "File exists";
  const veth = { ...plain, kind: "veth" as const };
  kernel.links.push(
    { ...veth, index, name, mac, master, group: word(line, "group") ?? "default", peer: index + 1 },
    {
      ...veth,
      ...structuredClone(PLAIN),
      index: index + 1,
      netns,
      name: other,
      mac: "",
      peer: index,
      up: false,
    },
  );
  kernel.links.sort((left, right) => left.index - right.index);
  return undefined;
}

export function deleteLink(kernel: ModelKernel, dev: ModelLink): undefined {
  kernel.links = kernel.links.filter((it) => it !== dev && it.index !== dev.peer);
}

/** `link set` of a name (a test whether the index has it), MAC, alias, master, or port flags. */
export function setLink(
  kernel: ModelKernel,
  link: ModelLink,
  line: readonly string[],
): string | undefined {
  const name = word(line, "name");
  if (name !== undefined && name !== link.name) return "File exists";
  const master = word(line, "master");
  if (master !== undefined) {
    if (!kernel.links.some((it) => it.netns === "" && it.name === master)) {
      return "Cannot find master";
    }
    // Removing the bridge removes the settings of its ports.
    if (link.master !== master) Object.assign(link, { learning: true, locked: false, entries: [] });
    link.master = master;
  }
  if (line.includes("bridge_slave")) {
    if (link.master === "") return "Operation not supported";
    link.learning = word(line, "learning") !== "off" && link.learning;
    link.locked = word(line, "locked") === "on" || link.locked;
    return undefined;
  }
  if (line.includes("alias")) link.alias = line.slice(line.indexOf("alias") + 1).join(" ");
  link.mac = word(line, "address") ?? link.mac;
  if (line.includes("up")) link.up = true;
  return undefined;
}
