import { type Host, type Json, STATE_FOLDER } from "../integration/host.ts";
import { REMOVE_ALL } from "../integration/shell.ts";

/** Everything that a run may leave or change, in the kernel and on the disk. */
export interface World {
  /** `ip -d -j addr` of the host. */
  readonly links: readonly Json[];
  /** The same of each namespace below /run/netns; `null` if it can't be entered. */
  readonly inside: ReadonlyMap<string, readonly Json[] | null>;
  /** The host's permanent neighbours. */
  readonly permanent: readonly Json[];
  /** Names below the state folder, and the content of the readable state files. */
  readonly files: readonly string[];
  readonly states: ReadonlyMap<string, Json>;
}

/** A label and a value per line; for the host, two values. */
const LOOK = `
echo '"host"'; ip -d -j -batch - <<X
addr show
neigh show nud permanent
X
for it in /run/netns/*; do
  [ -e "$it" ] || [ -L "$it" ] || continue
  echo "\\"in \${it##*/}\\""; ip -n "\${it##*/}" -d -j addr show 2>/dev/null || echo null; echo
done
cd ${STATE_FOLDER} 2>/dev/null || exit 0
find . -mindepth 1 -path ./.deno -prune -o -mindepth 1 -printf '"file %p"\\n""\\n'
find . -path ./.deno -prune -o -type f -name '*.json' -printf '"state %p"\\n"' -exec base64 -w 0 {} \\; -printf '"\\n'`;

export async function look(host: Host): Promise<World> {
  const lines = (await host.sh(LOOK)).split("\n").filter((line) => line.trim() !== "");
  const inside = new Map<string, readonly Json[] | null>();
  const states = new Map<string, Json>();
  const [links, permanent, files]: [Json[], Json[], string[]] = [[], [], []];
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const label: string = JSON.parse(lines[at] ?? "");
    const value: Json = JSON.parse(lines[at + 1] ?? "");
    const [what, name = ""] = split(label);
    if (what === "host") {
      links.push(...full(value));
      permanent.push(...full(JSON.parse(lines[++at + 1] ?? "")));
    } else if (what === "in") inside.set(name, value === null ? null : full(value));
    else if (what === "file") files.push(name);
    else states.set(name, parsed(atob(value)));
  }
  files.sort();
  return { links, inside, permanent, files, states };
}

function split(label: string): [string, string?] {
  const blank = label.indexOf(" ");
  return blank < 0 ? [label] : [label.slice(0, blank), label.slice(blank + 1)];
}

/** `ip -j` prints empty objects for omitted entries. */
function full(value: Json): Json[] {
  return (value ?? []).filter((it: Json) => Object.keys(it).length > 0);
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Owner ("container ID/interface") and addresses of every lease of a state file, in either form. */
export function leasesOf(state: Json): Map<string, string[]> {
  return new Map(
    Object.entries(state?.containerToIP ?? {}).map((
      [owner, ip],
    ) => [owner, [ip].flat().map(String)]),
  );
}

/** Addresses of a link, without those that the kernel adds by itself. */
export function addressesOf(link: Json): string[] {
  return (link?.addr_info ?? []).filter((it: Json) => it.scope !== "link" || it.family === "inet")
    .filter((it: Json) => it.local !== undefined && !it.dynamic)
    .map((it: Json) => `${it.local}/${it.prefixlen}`);
}

export function kindOfLink(link: Json): string {
  return link?.linkinfo?.info_kind ?? "";
}

/**
 * Things that one DEL per container must not leave: any link but the bridge, lease, mark, temporary, permanent
 * neighbour.
 */
export function leftovers(world: World): string[] {
  const left: string[] = [];
  for (const link of world.links) {
    if (link.ifname === "lo" || kindOfLink(link) === "bridge") continue;
    left.push(`a ${kindOfLink(link)} on the host: ${link.ifname} "${link.ifalias ?? ""}"`);
  }
  for (const [name, links] of world.inside) {
    for (const { ifname } of links ?? []) {
      if (ifname !== "lo") left.push(`a link in a container: ${ifname} in ${name}`);
    }
  }
  for (const [file, state] of world.states) {
    if (state === undefined) continue;
    for (const [owner, ips] of leasesOf(state)) left.push(`a lease: ${owner} ${ips} in ${file}`);
  }
  for (const name of world.files) {
    if (/\.(tmp|add)$/.test(name)) left.push(`a temporary or a mark: ${name}`);
  }
  for (const { dst, dev } of world.permanent) left.push(`a permanent neighbour: ${dst} on ${dev}`);
  return left;
}

/** Things that one batch can remove; the rest have names that a batch can't hold. */
const RESET = `${REMOVE_ALL}
remove_all
[ ! -d /run/keep ] || umount -l /run/keep/* 2>/dev/null
[ -d /run/netns ] || mkdir -p /run/netns
find /run -mindepth 1 -maxdepth 1 -not -name netns -not -name wrong.sh -exec rm -rf {} +
find /run/netns -mindepth 1 -delete
cd ${STATE_FOLDER} && find . -mindepth 1 -maxdepth 1 -not -name .deno -exec rm -rf {} +
left=$(links)
[ -z "$left" ] || { for it in $left; do ip link del dev "$it" 2>/dev/null; done; [ -z "$(links)" ]; }`;

/** Resets the host for the next case; false if that is impossible. */
export async function reset(host: Host): Promise<boolean> {
  return (await host.run(["sh", "-c", RESET])).code === 0;
}
