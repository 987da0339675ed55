import type { Host, Json } from "../integration/host.ts";
import { CONTAINERS, KEEP } from "./root.ts";

/** The IPv4 addresses of every container that still has a veth, whoever can find its namespace. */
export async function live(host: Host): Promise<Map<string, string[]>> {
  const script = CONTAINERS.map((id) =>
    `nsenter --net=${KEEP}/${id} ip -d -j -4 addr show type veth 2>/dev/null || echo '[]'; echo`
  );
  const lines = (await host.sh(script.join("\n"))).split("\n").filter((it) => it !== "");
  return new Map(CONTAINERS.map((id, at) => {
    const links: Json[] = JSON.parse(lines[at] ?? "[]");
    const all = links.flatMap(({ addr_info = [] }) => addr_info);
    return [id, all.map(({ local, prefixlen }: Json) => `${local}/${prefixlen}`)];
  }));
}

/** The host's end of a container's veth, by the kernel's own numbers. */
export async function vethOf(host: Host, id: string): Promise<Json> {
  const { stdout } = await host.run([
    "nsenter",
    `--net=${KEEP}/${id}`,
    "ip",
    "-d",
    "-j",
    "link",
    "show",
    "type",
    "veth",
  ]);
  const [inner] = JSON.parse(stdout || "[]").filter((it: Json) => it.ifname !== undefined);
  if (inner === undefined) return undefined;
  const links = await host.ip("", "link", "show", "type", "veth");
  return links.find((it) => it.ifindex === inner.link_index && it.link_index === inner.ifindex);
}
