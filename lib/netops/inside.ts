import { expiry } from "../base/deadline.ts";
import { CniError, quote } from "../base/errors.ts";
import type { JsonObject } from "../base/fields.ts";
import { ipFailed, type IpOutput, listIn, outputOf, parseIpJson, type RunIp } from "./ip.ts";
import { type Link, parseLink } from "./links.ts";

/** The namespace that holds the other end of a host veth. */
export interface Inside {
  /** The path of the namespace. */
  readonly netns: string;
  readonly links: readonly Link[];
  /** The other end of the veth, an element of `links`. */
  readonly peer: Link;
}

/** `ip -n` accepts only names relative to /run/netns, so an absolute path is passed with `../../..` in front. */
export function enter(netns: string): readonly string[] {
  return ["-n", `../../..${netns}`];
}

/** `-N` shows numbers, because files of the host define the names of tables. */
export function shownInside(netns: string): readonly string[] {
  return [...enter(netns), "-d", "-N", "-j"];
}

/** How long an `ip` may take before the cause of the delay is investigated. */
const SLOW_MS = 2_000;
const PROOFS = 4;

/**
 * The output of `running`, an `ip` that opens `netns`. Throws InvalidNetNS if it hangs while other `ip` processes finish:
 * `netns` is then probably a file whose opening blocks, such as a FIFO.
 */
export async function failOnFifo(
  run: RunIp,
  netns: string,
  running: Promise<IpOutput>,
): Promise<IpOutput> {
  if (await Promise.race([running, expiry(SLOW_MS)]) !== "expired") return await running;
  running.catch(() => {}); // awaited below, or its result is not needed
  const probe = run([...enter(netns), "-j", "link", "show", "dev", "lo"]);
  probe.catch(() => {});
  const ended = running.then(() => undefined, () => undefined);
  // On a busy host a single `ip` may be late. If several later ones have finished, this one hangs.
  for (let round = 0; round < PROOFS; round++) {
    const own = await Promise.race([canEnter(run), ended]);
    if (!own?.success) return await running;
    if (await Promise.race([running, probe, expiry(1_000)]) !== "expired") return await running;
  }
  throw invalidNetns(
    netns,
    "opening it blocks, as with a FIFO",
    "inspect it (ls -l): it must be the path of a network namespace, such as /run/netns/NAME",
  );
}

/** The error for a `CNI_NETNS` that is not a network namespace. */
export function invalidNetns(netns: string, found: string, details: string): CniError {
  const message = `Cannot use CNI_NETNS ${quote(netns)} as a network namespace: ${found}`;
  return new CniError("InvalidNetNS", message, details);
}

/** Every interface of the namespace. Throws InvalidNetNS if the namespace can't be entered. */
export async function linksInside(run: RunIp, netns: string): Promise<Link[]> {
  const output = await failOnFifo(run, netns, run([...shownInside(netns), "addr", "show"]));
  if (!output.success) throw await namespaceError(run, netns, output);
  return listIn(`list the links in "${netns}"`, output).map(parseLink);
}

/** The namespaces that have a name; none without /run/netns, where `ip` prints nothing. */
export async function namespaces(run: RunIp): Promise<JsonObject[]> {
  return parseIpJson(await outputOf("list the namespaces", run(["-j", "netns", "list"])))[0] ?? [];
}

/** Enters the namespace of `ip` itself; this fails only if `ip -n` does not work on this host. */
async function canEnter(run: RunIp): Promise<IpOutput> {
  return await run([...enter("/proc/self/ns/net"), "-j", "link", "show", "dev", "lo"]);
}

/**
 * The first complaint of `ip` if it can't enter any namespace; otherwise `undefined`. Without /proc, `canEnter` proves
 * nothing, so a named namespace is tried instead; if none has a name, the result is `undefined`.
 */
export async function cannotEnterAny(run: RunIp): Promise<string | undefined> {
  const own = await canEnter(run);
  if (own.success) return undefined;
  // `ip netns identify` succeeds without /run/netns, and fails without /proc.
  const isProcThere = (await run(["netns", "identify"])).success;
  if (isProcThere) return own.stderr.split("\n")[0] ?? "";
  for (const { name } of await namespaces(run)) {
    const entered = await run(["-n", String(name), "-j", "link", "show", "dev", "lo"]);
    return entered.success ? undefined : entered.stderr.split("\n")[0] ?? "";
  }
  return undefined;
}

/** The error for a namespace that can't be entered; its remedy depends on whether `ip -n` works at all. */
async function namespaceError(run: RunIp, netns: string, output: IpOutput): Promise<CniError> {
  const own = await canEnter(run);
  const remedy = own.success
    ? "it must be the path of a network namespace that exists, such as /run/netns/NAME"
    : "ip -n does not work on this host: create its folder (mkdir -p /run/netns), and run with CAP_SYS_ADMIN";
  const { details } = ipFailed("enter it", output);
  return invalidNetns(netns, "ip can't enter it", `${remedy}; ${details}`);
}
