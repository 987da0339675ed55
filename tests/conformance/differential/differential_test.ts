import { assert } from "@std/assert";
import { BUILT, type Finished, Host, type Json, STATE_FOLDER } from "../../integration/host.ts";
import { Lab } from "../lab.ts";
import { DIFFERENCES } from "./differences.ts";
import { type Input, INPUTS, type Step } from "./inputs.ts";

const REFERENCE = "/usr/lib/cni/bridge";
const REFERENCE_STATE = "/var/lib/cni/networks";

/** One plugin on a host of its own. */
interface Side {
  readonly name: "ours" | "theirs";
  readonly lab: Lab;
  readonly type: string;
  readonly start: (env: Record<string, string>, stdin: string) => Promise<Finished>;
}

/** A value that differs: where it stands, and what each side has there. */
export interface Difference {
  readonly input: string;
  readonly step: Step;
  readonly path: string;
  readonly ours: unknown;
  readonly theirs: unknown;
}

/** Everything that a runtime or a container can see behind a step. */
const OBSERVE = `
ip -d -j addr; echo; for n in $(ls /run/netns); do echo "# $n"; ip -n $n -j -d addr; echo; ip -n $n -j -4 route show table all; echo; done
echo "# leases"; cat /proc/sys/net/ipv4/ip_forward
cd ${REFERENCE_STATE}/podnet 2>/dev/null && for f in [0-9]*; do [ -e $f ] && echo "$f $(tr '\\r\\n' '  ' <$f)"; done
cat ${STATE_FOLDER}/podnet.json 2>/dev/null || true`;

async function run(side: Side, step: Step, first: Json): Promise<Seen & { result: Json }> {
  const { id = "c1", netns = id, ifname = "eth0", args } = step;
  if (/^[a-z]\w*$/i.test(netns)) await side.lab.container(netns);
  if (step.script !== undefined) {
    await side.lab.container("c1");
    await side.lab.host.sh(step.script.replace("HOST", hostVeth(first)));
  }
  const env = step.env ?? {
    CNI_CONTAINERID: id,
    CNI_NETNS: netns === "" || netns.startsWith("/") ? netns : `/run/netns/${netns}`,
    CNI_IFNAME: ifname,
    ...(args !== undefined && { CNI_ARGS: args }),
  };
  const stdin = step.stdin?.replace('"TYPE"', `"${side.type}"`) ??
    JSON.stringify(withPrevious({ ...step.config, type: side.type }, step, first));
  const look = async () => observed(await side.lab.host.sh(OBSERVE), side);
  const before = await look();
  const { code, stdout } = await side.start(
    { ...env, CNI_COMMAND: step.command, CNI_PATH: "/usr/lib/cni" },
    stdin,
  );
  const result = stdout.trim() === "" ? undefined : JSON.parse(stdout);
  return { exit: code, result, document: normalised(result), before, kernel: await look() };
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

/** The kernel and the leases, without what is anybody's choice: MACs, indexes, the host veth's name. */
function observed(text: string, { name }: Side): Json {
  const [host = "", ...parts] = text.split("\n# ");
  const [forwarding, ...leases] = parts.pop()?.split("\n").slice(1).filter((it) => it !== "") ?? [];
  const links = JSON.parse(host) as Json[];
  return {
    ...(forwarding === "1" && { forwarding: true }),
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
      const [at = "", addresses = "", , routes = ""] = part.split("\n");
      const found = (JSON.parse(addresses || "[]") as Json[]).filter((it) => it.ifname !== "lo");
      return [at, {
        links: Object.fromEntries(found.map((it) => [it.ifname, link(it)])),
        routes: (JSON.parse(routes || "[]") as Json[]).filter((it) =>
          it.type === undefined || it.type === "unicast"
        ).filter((it) => it.protocol !== "kernel").map((
          { dst, gateway, dev, metric, table, scope },
        ) => [dst, gateway, dev, metric, table, scope].filter((it) => it !== undefined).join(" "))
          .sort(),
      }];
    })),
    leases: name === "ours" ? ourLeases(leases.join("\n")) : theirLeases(leases),
  };
}

function link({ flags, mtu, addr_info = [] }: Json): Json {
  return {
    up: flags.includes("UP"),
    ...(flags.includes("PROMISC") && { promiscuous: true }),
    mtu,
    addresses: addr_info.filter((it: Json) => it.family === "inet" || it.scope === "global").map((
      it: Json,
    ) => `${it.local}/${it.prefixlen}`),
  };
}

function ourLeases(text: string): Json {
  const { containerToIP = {} } = text === "" ? {} : JSON.parse(text);
  return Object.fromEntries(Object.entries(containerToIP).map(([key, ip]) => [String(ip), key]));
}

function theirLeases(lines: readonly string[]): Json {
  return Object.fromEntries(lines.map((line) => {
    const [ip = "", id, ifname] = line.split(/\s+/);
    return [ip, `${id}/${ifname}`];
  }));
}

/** A document without what each run chooses anew; of an error only the code and the version's presence. */
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

/** What differs behind one step, and whether the hosts can still be compared after it. */
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
    // All that follows comes of it.
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

/** Which parts of the kernel and the state a failed run changed. */
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
  await Promise.all(sides.map(async ({ lab }) => {
    await lab.clean();
    await lab.host.sh(`rm -rf ${REFERENCE_STATE}; echo 0 >/proc/sys/net/ipv4/ip_forward`);
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

Deno.test("the same inputs to this plugin and to bridge + host-local", async (test) => {
  await using mine = await Host.create();
  await using other = await Host.create();
  await other.sh("mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/cni /var/lib/atomicni");
  await mine.sh("mkdir -p /run/none");
  const ours = new Lab(mine, BUILT);
  const theirs = new Lab(other);
  const sides: readonly [Side, Side] = [
    { name: "ours", lab: ours, type: "atomicni", start: (env, stdin) => ours.raw(env, stdin) },
    {
      name: "theirs",
      lab: theirs,
      type: "bridge",
      start: (env, stdin) => other.run([REFERENCE], stdin, { PATH: "/usr/sbin:/usr/bin", ...env }),
    },
  ];
  const used = new Set<string>();
  const only = Deno.env.get("ONLY");
  for (const input of INPUTS.filter(({ name }) => only === undefined || name === only)) {
    await test.step(input.name, async () => {
      const differences = await compare(sides, input);
      const open: string[] = [];
      for (const it of differences) {
        const reason = DIFFERENCES.find(({ holds }) => holds(it));
        if (reason === undefined) {
          open.push(
            `${it.step.command} ${it.path}: ours ${JSON.stringify(it.ours)}, theirs ${
              JSON.stringify(it.theirs)
            }`,
          );
        } else used.add(reason.why);
      }
      assert(open.length === 0, `not explained:\n${open.join("\n")}`);
    });
  }
  if (only !== undefined) return;
  const unused = DIFFERENCES.filter(({ why, byChance }) => byChance !== true && !used.has(why))
    .map(({ why }) => why);
  assert(unused.length === 0, `explanations that explain nothing:\n${unused.join("\n")}`);
});
