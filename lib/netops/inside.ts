import { CniError, quote } from "../base/errors.ts";
import type { JsonObject } from "../base/fields.ts";
import {
  type Batch,
  ipFailed,
  type IpOutput,
  listIn,
  outputOf,
  parseIpJson,
  runBatch,
  type RunIp,
} from "./ip.ts";
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

/** Runs batches in the namespace that show links and routes in detail. */
export function batchInside(run: RunIp, netns: string): Batch {
  return async (commands) => await runBatch(run, shownInside(netns), commands);
}

/** The error for a `CNI_NETNS` that is not a network namespace. */
export function invalidNetns(netns: string, found: string, details: string): CniError {
  const message = `Cannot use CNI_NETNS ${quote(netns)} as a network namespace: ${found}`;
  return new CniError("InvalidNetNS", message, details);
}

/** Every interface of the namespace. Throws InvalidNetNS if the namespace can't be entered. */
export async function linksInside(run: RunIp, netns: string): Promise<Link[]> {
  const output = await run([...shownInside(netns), "addr", "show"]);
  if (!output.success) throw await namespaceError(run, netns, output);
  return listIn(`list the links in "${netns}"`, output).map(parseLink);
}

/** The namespaces that have a name; none without /run/netns, where `ip` prints nothing. */
export async function namespaces(run: RunIp): Promise<JsonObject[]> {
  return parseIpJson(await outputOf("list the namespaces", run(["-j", "netns", "list"])))[0] ?? [];
}

/** The first complaint of `ip` if it can't enter even its own namespace: then `ip -n` does not work on this host. */
export async function cannotEnter(run: RunIp): Promise<string | undefined> {
  const own = await run([...enter("/proc/self/ns/net"), "-j", "link", "show", "dev", "lo"]);
  return own.success ? undefined : own.stderr.split("\n")[0] ?? "";
}

/** The error for a namespace that can't be entered; its remedy depends on whether `ip -n` works at all. */
async function namespaceError(run: RunIp, netns: string, output: IpOutput): Promise<CniError> {
  const remedy = await cannotEnter(run) === undefined
    ? "it must be the path of a network namespace that exists, such as /run/netns/NAME"
    : "ip -n does not work on this host: create its folder (mkdir -p /run/netns), and run with CAP_SYS_ADMIN";
  const { details } = ipFailed("enter it", output);
  return invalidNetns(netns, "ip can't enter it", `${remedy}; ${details}`);
}
