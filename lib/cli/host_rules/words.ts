import { groupOf, type NetworkName } from "../../base/names.ts";

/** A table that the file creates, deletes and creates, so that loading the file again replaces it. */
export function table(
  family: "inet" | "arp" | "bridge",
  name: NetworkName,
  chains: string,
): string {
  const of = `table ${family} atomicni_${name}`;
  return `${of}\ndelete ${of}\n${of} {\n${chains}}\n`;
}

/** Matches packets from the network's host veths by their link group. */
export function ofPorts(name: NetworkName): string {
  return `iifgroup ${groupOf(name)}`;
}

/** An anonymous set. A single member needs no braces. */
export function among(members: readonly string[]): string {
  return members.length < 2 ? members.join() : `{ ${[...new Set(members)].join(", ")} }`;
}

export function lines(rules: readonly string[]): string {
  return rules.map((rule) => `    ${rule}\n`).join("");
}
