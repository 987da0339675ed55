import { type Host, type Json, objects } from "../../integration/host.ts";
import { BRIDGE } from "./network.ts";

/** The kernel's view of the host and its containers at one moment. */
export interface Kernel {
  readonly links: readonly Json[];
  readonly routes: readonly Json[];
  readonly neighbours: readonly Json[];
  /** Entries of the bridge's forwarding table. */
  readonly entries: readonly Json[];
  /** Containers that the bridge accepts as multicast queriers. */
  readonly queriers: readonly string[];
  /** Links with addresses, and neighbours, of each container. */
  readonly inside: ReadonlyMap<string, { readonly links: Json[]; readonly neighbours: Json[] }>;
}

/** The real `ip`, if a test has replaced it with a wrong one (wrong.ts). */
export const TRUE_IP = "/mnt/ip.real";

const SCRIPT = `
ip() { if [ -x ${TRUE_IP} ]; then ${TRUE_IP} "$@"; else command ip "$@"; fi; }
ip -d -j -force -batch - <<X
addr show
route show table all root 0.0.0.0/0
route show table all root ::/0
neigh show
X
bridge -d -j fdb show br ${BRIDGE} 2>/dev/null || echo '[]'
# Only the text says it.
echo "[$(ip -d link show dev ${BRIDGE} 2>/dev/null | grep -oE 'mcast_querier_ipv[46]_addr [^ ]*' |
  sed 's/.*/"&"/' | paste -sd,)]"
for it in /run/netns/*; do
  [ "$it" != /run/netns/outside ] || continue
  echo "\\"\${it##*/}\\""
  ip -n "\${it##*/}" -j -force -batch - <<X
addr show
neigh show
X
done`;

export async function lookAt(host: Host): Promise<Kernel> {
  const lines = (await host.sh(SCRIPT)).split("\n").filter((line) => line.trim() !== "");
  const list = (at: number) => objects({ code: 0, stdout: lines[at] ?? "[]", stderr: "" });
  const inside = new Map<string, { links: Json[]; neighbours: Json[] }>();
  for (let at = 6; at < lines.length; at += 3) {
    inside.set(JSON.parse(lines[at] ?? ""), { links: list(at + 1), neighbours: list(at + 2) });
  }
  return {
    links: list(0),
    routes: [...list(1), ...list(2)],
    neighbours: list(3),
    entries: list(4),
    queriers: JSON.parse(lines[5] ?? "[]"),
    inside,
  };
}

export function linkLocalOf(links: readonly Json[], ifname: string): string {
  const link = links.find((it) => it.ifname === ifname);
  const found = (link?.addr_info ?? []).find((it: Json) =>
    it.family === "inet6" && it.scope === "link"
  );
  return found?.local ?? "";
}
