import { assert } from "@std/assert";
import { BUILT, type Finished, Host, type Json, STATE_FOLDER } from "../../integration/host.ts";
import { LOOK_AT } from "../../integration/shell.ts";
import { Lab } from "../lab.ts";
import type { Meant, Reference } from "./differences.ts";
import type { Input, Step } from "./inputs.ts";
import { test } from "../../both_errors.ts";

const REFERENCE = "/usr/lib/cni/bridge";
const REFERENCE_STATE = "/var/lib/cni/networks";

/** Forwarding is off. Containers have no duplicate address detection; otherwise the reference waits 2 s for it. */
const RESET = `
rm -rf ${REFERENCE_STATE}
echo 0 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv6/conf/all/forwarding`;
const NO_DAD = "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad 2>/dev/null || true";

/** One plugin on its own host. */
interface Side {
  readonly name: "ours" | "theirs";
  readonly lab: Lab;
  readonly type: string;
  readonly start: (env: Record<string, string>, stdin: string) => Promise<Finished>;
  /** The view after the previous step, valid until something changes. */
  seen: Json;
  /** The view of an unchanged host and of a new container; read once. */
  empty?: Json;
  fresh?: Json;
}

/** A differing value: its place, and the value of each side. */
export interface Difference {
  readonly input: string;
  readonly step: Step;
  readonly path: string;
  readonly ours: unknown;
  readonly theirs: unknown;
}

/** Everything that a runtime or a container can see after a step. */
const OBSERVE = `${LOOK_AT}
ip -d -j addr; echo
for n in /run/netns/*; do [ ! -e "$n" ] || { echo "# \${n##*/}"; look_at "\${n##*/}"; }; done
echo "# leases"
for f in /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding; do read -r is <$f || :; echo $is; done
cd ${REFERENCE_STATE}/podnet 2>/dev/null && for f in [0-9a-f]*; do
  [ ! -e $f ] || { read -r id && read -r ifname || :; echo "$f $id $ifname"; } <$f
done
[ ! -e ${STATE_FOLDER}/podnet.json ] || cat ${STATE_FOLDER}/podnet.json`;

async function run(side: Side, step: Step, first: Json): Promise<Seen & { result: Json }> {
  const { id = "c1", netns = id, ifname = "eth0", args } = step;
  if (/^[a-z]\w*$/i.test(netns)) await ready(side, netns);
  if (step.script !== undefined) {
    await ready(side, "c1");
    await side.lab.host.sh(step.script.replace("HOST", hostVeth(first)));
    side.seen = undefined;
  }
  const env = step.env ?? {
    CNI_CONTAINERID: id,
    CNI_NETNS: netns === "" || netns.startsWith("/") ? netns : `/run/netns/${netns}`,
    CNI_IFNAME: ifname,
    ...(args !== undefined && { CNI_ARGS: args }),
  };
  const stdin = step.stdin?.replace('"TYPE"', `"${side.type}"`) ??
    JSON.stringify(withPrevious({ ...step.config, type: side.type }, step, first));
  const before = side.seen ?? await look(side);
  const { code, stdout } = await side.start(
    { ...env, CNI_COMMAND: step.command, CNI_PATH: "/usr/lib/cni" },
    stdin,
  );
  const result = stdout.trim() === "" ? undefined : JSON.parse(stdout);
  side.seen = await look(side);
  return { exit: code, result, document: normalised(result), before, kernel: side.seen };
}

async function look(side: Side): Promise<Json> {
  return observed(await side.lab.host.sh(OBSERVE), side);
}

async function ready(side: Side, container: string): Promise<void> {
  if (!await side.lab.container(container)) return;
  if (side.seen !== undefined) {
    side.fresh ??= (await look(side)).containers[container];
    const containers = { ...side.seen.containers, [container]: side.fresh };
    // In the order in which they are listed.
    const sorted = Object.entries(containers).sort(([a], [b]) => a < b ? -1 : 1);
    side.seen = { ...side.seen, containers: Object.fromEntries(sorted) };
  }
  if (side.name === "theirs") {
    await side.lab.host.sh(`ip netns exec ${container} sh -c '${NO_DAD}'`);
  }
}

function hostVeth(result: Json): string {
  return result?.interfaces?.[1]?.name ?? "none";
}

function withPrevious(config: Json, { command, previous }: Step, first: Json): Json {
  if (first === undefined || "prevResult" in config) return config;
  if (command !== "CHECK" && previous === undefined) return config;
  const prevResult = structuredClone(first);
  previous?.(prevResult);
  return { ...config, prevResult };
}

/** The kernel and the leases without values that each plugin may choose: MACs, indexes, the host veth's name. */
function observed(text: string, { name }: Side): Json {
  const [host = "", ...parts] = text.split("\n# ");
  const [forwarding, forwarding6, ...leases] =
    parts.pop()?.split("\n").slice(1).filter((it) => it !== "") ?? [];
  const links = JSON.parse(host) as Json[];
  return {
    ...(forwarding === "1" && { forwarding: true }),
    ...(forwarding6 === "1" && { forwarding6: true }),
    host: Object.fromEntries(
      links.filter((it) => it.ifname !== "lo" && it.linkinfo?.info_kind === "bridge").map((
        it,
      ) => [it.ifname, link(it)]),
    ),
    ports: links.filter((it) => it.master !== undefined).map((it) => ({
      master: it.master,
      mtu: it.mtu,
      up: it.flags.includes("UP"),
      hairpin: it.linkinfo.info_slave_data.hairpin,
      isolated: it.linkinfo.info_slave_data.isolated,
    })),
    strays: links.filter((it) => it.master === undefined && /^(veth|av)/.test(it.ifname)).length,
    containers: Object.fromEntries(parts.map((part) => {
      const lines = part.split("\n").filter((line) => line !== "");
      const [at = "", addresses = "", v4 = "", v6 = ""] = lines;
      const found = (JSON.parse(addresses || "[]") as Json[]).filter((it) => it.ifname !== "lo");
      return [at, {
        links: Object.fromEntries(found.map((it) => [it.ifname, link(it)])),
        routes: [...routes(v4), ...routes(v6).map((route) => `6: ${route}`)],
      }];
    })),
    leases: name === "ours" ? ourLeases(leases.join("\n")) : theirLeases(leases),
  };
}

/**
 * The configured parts only, without routes that the kernel adds for an address. Each next hop of a destination is
 * one route.
 */
function routes(text: string): string[] {
  return (JSON.parse(text || "[]") as Json[]).flatMap(({ nexthops, ...route }) =>
    nexthops === undefined ? [route] : nexthops.map((hop: Json) => ({ ...route, ...hop }))
  ).filter((it) => it.type === undefined || it.type === "unicast")
    .filter((it) => it.protocol !== "kernel" && it.dev !== "lo").map((
      { dst, gateway, dev, metric, table, scope },
    ) => [dst, gateway, dev, metric, table, scope].filter((it) => it !== undefined).join(" "))
    .sort();
}

function link({ flags, mtu, addr_info = [] }: Json): Json {
  return {
    up: flags.includes("UP"),
    ...(flags.includes("PROMISC") && { promiscuous: true }),
    mtu,
    // The kernel lists IPv6 addresses in another order than they were added in.
    addresses: addr_info.filter((it: Json) => it.family === "inet" || it.scope === "global").map((
      it: Json,
    ) => `${it.local}/${it.prefixlen}`).sort(),
  };
}

function ourLeases(text: string): Json {
  return text === "" ? {} : JSON.parse(text).ipToContainer;
}

function theirLeases(lines: readonly string[]): Json {
  return Object.fromEntries(lines.map((line) => {
    const [ip = "", id, ifname] = line.split(/\s+/);
    return [ip, `${id}/${ifname}`];
  }));
}

/** A document without the values that each run chooses; of an error, only its code and whether it has a version. */
function normalised(document: Json): Json {
  if (document === undefined) return undefined;
  if (document.code !== undefined) return { code: document.code, cniVersion: document.cniVersion };
  return JSON.parse(JSON.stringify(document), (key, value) => {
    if (key === "mac") return "MAC";
    return key === "name" && /^(av[0-9a-f]{13}|veth[0-9a-f]{8})$/.test(value) ? "HOST" : value;
  });
}

function flatten(value: unknown, path: string, into: Map<string, unknown>): Map<string, unknown> {
  if (typeof value === "object" && value !== null && Object.keys(value).length > 0) {
    for (const [key, inner] of Object.entries(value)) {
      flatten(inner, path === "" ? key : `${path}.${key}`, into);
    }
  } else if (value !== undefined && !(typeof value === "object" && value !== null)) {
    into.set(path, value);
  }
  return into;
}

/** The differences after one step, and whether the hosts can still be compared after it. */
function differ(
  ours: Seen,
  theirs: Seen,
  tainted: boolean,
): { paths: Map<string, [unknown, unknown]>; last: boolean } {
  const paths = new Map<string, [unknown, unknown]>();
  const put = (path: string, our: unknown, their: unknown) => {
    if (our !== their) paths.set(path, [our, their]);
  };
  if (ours.exit !== theirs.exit) {
    // All later differences follow from this one.
    put("outcome", outcome(ours), outcome(theirs));
    return { paths, last: true };
  }
  if (ours.exit !== 0) put("left behind", leftBehind(ours), leftBehind(theirs));
  const kernel = tainted || ours.exit !== 0 ? {} : { kernel: ours.kernel };
  const left = flatten({ document: ours.document, ...kernel }, "", new Map());
  const right = flatten(
    { document: theirs.document, ...(kernel.kernel && { kernel: theirs.kernel }) },
    "",
    new Map(),
  );
  for (const path of new Set([...left.keys(), ...right.keys()])) {
    put(path, left.get(path), right.get(path));
  }
  return { paths, last: false };
}

function outcome({ exit, document }: Seen): string {
  return exit === 0 ? "works" : `code ${document.code}`;
}

/** The parts of the kernel and the state that a failed run changed. */
function leftBehind({ before, kernel }: Seen): string {
  const keys = new Set([...Object.keys(before), ...Object.keys(kernel)]);
  return [...keys].filter((key) => JSON.stringify(before[key]) !== JSON.stringify(kernel[key]))
    .join(", ");
}

interface Seen {
  readonly exit: number;
  readonly document: Json;
  readonly before: Json;
  readonly kernel: Json;
}

async function compare(sides: readonly [Side, Side], input: Input): Promise<Difference[]> {
  await Promise.all(sides.map(async (side) => {
    await side.lab.clean(RESET);
    side.seen = side.empty ??= await look(side);
  }));
  const differences: Difference[] = [];
  const firsts: [Json, Json] = [undefined, undefined];
  let tainted = false;
  for (const step of input.steps) {
    const [ours, theirs] = await Promise.all([
      run(sides[0], step, firsts[0]),
      run(sides[1], step, firsts[1]),
    ]);
    firsts[0] ??= ours.result;
    firsts[1] ??= theirs.result;
    const { paths, last } = differ(ours, theirs, tainted);
    for (const [path, [our, their]] of paths) {
      differences.push({ input: input.name, step, path, ours: our, theirs: their });
    }
    if (last) break;
    tainted ||= paths.has("left behind");
  }
  return differences;
}

/**
 * A test that gives each input to both plugins. An input must show each difference of `own`; it may show those of `common`.
 * ONLY=NAME runs one input, EVERY=N one of N inputs.
 */
export function differentialTest(
  name: string,
  inputs: readonly Input[],
  { own, common = [] }: { own: readonly Meant[]; common?: readonly Meant[] },
): void {
  test(name, async (test) => {
    await using mine = await Host.create();
    await using other = await Host.create();
    await other.sh("mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/cni /var/lib/atomicni");
    await mine.sh("mkdir -p /run/none");
    const sides = sidesOf(mine, other);
    const reference = await versionOf(sides[1]);
    const meant = (it: Meant) => it.of === undefined || it.of === reference;
    const used = new Set<string>();
    const only = Deno.env.get("ONLY");
    const every = Number(Deno.env.get("EVERY") ?? 1);
    const chosen = inputs.filter(({ name }, index) =>
      only === undefined ? index % every === 0 : name === only
    );
    assert(chosen.length > 0, "no such input");
    for (const input of chosen) {
      await test.step(input.name, async () => {
        const open: string[] = [];
        for (const it of await compare(sides, input)) {
          const reason = [...own, ...common].filter(meant).find(({ holds }) => holds(it));
          if (reason !== undefined) used.add(reason.why);
          else open.push(described(it));
        }
        assert(open.length === 0, `not explained:\n${open.join("\n")}`);
      });
    }
    if (chosen.length < inputs.length) return;
    const unused = own.filter(meant).filter(({ why, byChance }) =>
      byChance !== true && !used.has(why)
    )
      .map(({ why }) => why);
    assert(unused.length === 0, `expected differences that no input shows:\n${unused.join("\n")}`);
  });
}

/**
 * The reference's binary does not know its version, but 1.1.1 does not support version 1.1.0 of the specification.
 */
async function versionOf({ start }: Side): Promise<Reference> {
  const { stdout } = await start({ CNI_COMMAND: "VERSION" }, '{"cniVersion":"1.0.0"}');
  return JSON.parse(stdout).supportedVersions.includes("1.1.0") ? "1.9.1" : "1.1.1";
}

function sidesOf(mine: Host, other: Host): readonly [Side, Side] {
  const ours = new Lab(mine, BUILT);
  const env = { PATH: "/usr/sbin:/usr/bin" };
  return [
    {
      name: "ours",
      lab: ours,
      type: "atomicni",
      start: (env, stdin) => ours.raw(env, stdin),
      seen: undefined,
    },
    {
      name: "theirs",
      lab: new Lab(other),
      type: "bridge",
      start: (more, stdin) => other.run([REFERENCE], stdin, { ...env, ...more }),
      seen: undefined,
    },
  ];
}

function described({ step, path, ours, theirs }: Difference): string {
  return `${step.command} ${path}: ours ${JSON.stringify(ours)}, theirs ${JSON.stringify(theirs)}`;
}
