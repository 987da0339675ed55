import { expiry } from "../base/deadline.ts";
import { asCniError, CniError, quote } from "../base/errors.ts";
import { dump, ipFailed, type IpOutput, listIn, must, parseIpJson, type RunIp } from "./ip.ts";
import { type Link, parseLink, parseRoutes, type RouteFound } from "./links.ts";

/** The namespace behind a host veth. */
export interface Inside {
  /** Its path. */
  readonly netns: string;
  readonly links: readonly Link[];
  /** The veth's other end, one of them. */
  readonly peer: Link;
}

/** `ip -n` takes names below /run/netns alone, so a path goes in as the way up and down again. */
export function enter(netns: string): readonly string[] {
  return ["-n", `../../..${netns}`];
}

/** Numbers instead of names: what a table is called is a matter of the host's files. */
export function shownInside(netns: string): readonly string[] {
  return [...enter(netns), "-d", "-N", "-j"];
}

/** How long an `ip` may take before it is looked at what holds it up. */
const SLOW_MS = 2_000;
const PROOFS = 4;

/**
 * What `running` comes to, an `ip` that opens `netns`. One that takes long may hang in a file that is no namespace, such as
 * a FIFO: then InvalidNetNS says so, where another `ip` is served meanwhile.
 */
export async function orFifo(
  run: RunIp,
  netns: string,
  running: Promise<IpOutput>,
): Promise<IpOutput> {
  if (await Promise.race([running, expiry(SLOW_MS)]) !== "expired") return await running;
  running.catch(() => {}); // awaited below, or not wanted any more
  const probe = run([...enter(netns), "-j", "link", "show", "dev", "lo"]);
  probe.catch(() => {});
  // On a busy host one `ip` may be late by chance; not if several that began after it have ended.
  for (let round = 0; round < PROOFS; round++) {
    const own = await Promise.race([canEnter(run), expiry(1_000)]);
    if (own === "expired" || !own.success) return await running;
    if (await Promise.race([running, probe, expiry(1_000)]) !== "expired") return await running;
  }
  throw new CniError(
    "InvalidNetNS",
    `Cannot use CNI_NETNS ${
      quote(netns)
    } as a network namespace: it can't be opened, as if it were a FIFO`,
    {
      details:
        "look at it (ls -l): it must be the path of a network namespace, such as /run/netns/NAME",
    },
  );
}

/** Every interface of the namespace. Throws InvalidNetNS where it can't be entered. */
export async function linksInside(run: RunIp, netns: string): Promise<Link[]> {
  const output = await orFifo(run, netns, run([...shownInside(netns), "addr", "show"]));
  if (!output.success) throw await namespaceError(run, netns, output);
  return listIn(`list the links in "${netns}"`, output).map(parseLink);
}

export async function routesInside(run: RunIp, netns: string): Promise<RouteFound[]> {
  const args = [...shownInside(netns), "route", "show", "table", "all"];
  return (await dump(run, "list the container's routes", args)).flatMap(parseRoutes);
}

/** Whether `ip` can enter a namespace at all: its own can always be, where `ip -n` works. */
export async function canEnter(run: RunIp): Promise<IpOutput> {
  return await run([...enter("/proc/self/ns/net"), "-j", "link", "show", "dev", "lo"]);
}

/**
 * As `canEnter`, also on a host without /proc: a namespace that has a name shows it then. Without one of those nothing
 * does, and what `ip` says of /proc counts for nothing.
 */
export async function cannotEnterAny(run: RunIp): Promise<string | undefined> {
  const own = await canEnter(run);
  if (own.success) return undefined;
  // It succeeds without /run/netns, and fails without /proc.
  const isProcThere = (await run(["netns", "identify"])).success;
  if (isProcThere) return own.stderr.split("\n")[0] ?? "";
  const listed = parseIpJson(await must("list the namespaces", run(["-j", "netns", "list"])));
  for (const { name } of listed[0] ?? []) {
    const named = await run(["-n", String(name), "-j", "link", "show", "dev", "lo"]);
    return named.success ? undefined : named.stderr.split("\n")[0] ?? "";
  }
  return undefined;
}

/** Is it this namespace that can't be entered, or any? */
async function namespaceError(run: RunIp, netns: string, output: IpOutput): Promise<CniError> {
  const own = await canEnter(run);
  const remedy = own.success
    ? "it must be the path of a network namespace that exists, such as /run/netns/NAME"
    : "ip -n works for no namespace here: make the folder it starts from (mkdir -p /run/netns), and run with CAP_SYS_ADMIN";
  return new CniError(
    "InvalidNetNS",
    `Cannot use CNI_NETNS ${quote(netns)} as a network namespace: ip can't enter it`,
    { details: `${remedy}; ${asCniError(ipFailed("enter it", output)).details}` },
  );
}
