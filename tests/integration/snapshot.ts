import { type Host, type Json, STATE_FOLDER } from "./host.ts";
import { LOOK_AT } from "./shell.ts";

const SCRIPT = `${LOOK_AT}
look_at ''
for at in /run/netns/*; do [ ! -e "$at" ] || look_at "\${at##*/}"; done
cd ${STATE_FOLDER}
find . -path ./.deno -prune -o -printf '%p %y %m %U %l\\n' -type f -not -name '*.lock' -exec sha256sum {} +`;

/**
 * The state that a failed run must leave unchanged: links, addresses, routes and permanent neighbours of the host and
 * of every container, and each file of the state folder with its content. Excluded are the content of a lock file,
 * which names its last holder, and what the kernel changes by itself.
 */
export async function snapshot(host: Host): Promise<Json[]> {
  const lines = (await host.sh(SCRIPT)).split("\n").filter((line) => line.trim() !== "");
  const isList = (line: string) => line.startsWith("[");
  return [
    ...lines.filter(isList).map((line) =>
      (JSON.parse(line) as Json[]).filter((it) => !isKernels(it)).map(lasting)
    ),
    ...lines.filter((line) => !isList(line)).sort(),
  ];
}

/** Routes that the kernel adds some time after any IPv6 address. */
function isKernels({ dst = "", table }: Json): boolean {
  return dst === "fe80::/64" || (table === "local" && dst.includes(":"));
}

function lasting({ operstate: _, flags = [], addr_info = [], ...rest }: Json): Json {
  const own = flags.filter((flag: string) => !/^(LOWER_UP|NO-CARRIER|linkdown)$/.test(flag));
  // The kernel adds link-local IPv6 addresses some time after their link is up.
  const addresses = addr_info.filter((it: Json) => it.scope !== "link")
    .map(({ tentative: _, ...it }: Json) => it);
  return { ...rest, flags: own, addr_info: addresses };
}
