import { type Host, type Json, STATE_FOLDER } from "./host.ts";

const SCRIPT = `
for at in '' $(ls /run/netns); do
  ip \${at:+-n $at} -j addr show; echo
  ip \${at:+-n $at} -j -4 route show table all; echo
  ip \${at:+-n $at} -j -6 route show; echo
  ip \${at:+-n $at} -j neigh show nud permanent; echo
done
cd ${STATE_FOLDER}
find . -path ./.deno -prune -o -printf '"%p %y %m %U %l"\\n' | sort
find . -path ./.deno -prune -o -type f -not -name '*.lock' -print | sort | while read -r file; do
  printf '"%s"\\n' "$file $(base64 -w 0 "$file")"
done`;

/**
 * What a failed run must leave as it was: links, addresses, routes and permanent neighbours of the host and of every
 * container, and each file of the state folder with its content, but for a lock's, which says who held it last. What the
 * kernel changes by itself is left out.
 */
export async function snapshot(host: Host): Promise<Json[]> {
  const lines = (await host.sh(SCRIPT)).split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const value: Json = JSON.parse(line);
    if (!Array.isArray(value)) return value;
    return value.filter(({ dst }) => dst !== "fe80::/64").map(lasting);
  });
}

function lasting({ operstate: _, flags = [], addr_info = [], ...rest }: Json): Json {
  const own = flags.filter((flag: string) => !/^(LOWER_UP|NO-CARRIER|linkdown)$/.test(flag));
  // Link-local IPv6 addresses come by themselves, and some time after their link is up.
  const addresses = addr_info.filter((it: Json) => it.scope !== "link")
    .map(({ tentative: _, ...it }: Json) => it);
  return { ...rest, flags: own, addr_info: addresses };
}
