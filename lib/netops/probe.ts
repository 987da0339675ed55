/** Reads capabilities and settings of the host that are not part of an attachment. */
import type { InterfaceName } from "../base/names.ts";
import { dump, outputOf, parseIpJson, type RunIp } from "./ip.ts";
import { parseRoutes, type RouteFound } from "./links.ts";

/** The output of `ip -V`. */
export async function ipVersion(run: RunIp): Promise<string> {
  return (await outputOf("read the version of ip", run(["-V"]))).stdout.trim();
}

/**
 * The complaint of `ip` if this host can't create a veth. `isForbidden`: the process lacks the permission to change interfaces;
 * otherwise the kernel has no veth. Changes nothing: the first request has no setting. The second has an MTU that every kernel
 * rejects, after it has loaded the module. The third lists all links, each as `{}`, if the kernel does not know the kind veth.
 */
export async function cannotMakeVeth(run: RunIp) {
  const change = await run(["link", "set", "dev", "lo"]);
  if (!change.success) return { said: change.stderr, isForbidden: true };
  const veth = ["link", "add", "name", "atomicni-probe", "mtu", "10", "type", "veth"];
  const { stderr } = await run([...veth, "peer", "name", "atomicni-prob1"]);
  const { stdout } = await run(["-j", "link", "show", "type", "veth"]);
  return /^\[\s*\{\}/.test(stdout) ? { said: stderr, isForbidden: false } : undefined;
}

/** The numbers of the route types blackhole, unreachable and prohibit, and their names in an `ip` that ignores `-N`. */
const DROPPING = ["6", "7", "8", "blackhole", "unreachable", "prohibit"];

/** The host's unicast routes, and those that drop packets: their `dev` is empty. */
export async function hostRoutes(run: RunIp): Promise<RouteFound[]> {
  const of = (family: string) =>
    dump(run, "list the host's routes", [family, "-N", "-j", "route", "show"]);
  return [...await of("-4"), ...await of("-6")].flatMap((raw) =>
    DROPPING.includes(String(raw["type"]))
      ? parseRoutes({ ...raw, type: undefined, dev: undefined })
      : parseRoutes(raw)
  );
}

/**
 * Whether the kernel forwards between the interface and others, by family; `undefined` if `ip` does not show it. A missing
 * interface will get the setting of `default`.
 */
export async function forwarding(run: RunIp, bridge: InterfaceName) {
  const ipv4 = await run(["-4", "-j", "netconf", "show"]);
  const entries = ipv4.success ? parseIpJson(ipv4)[0] ?? [] : [];
  const value = (name: string) => entries.find((it) => it["interface"] === name)?.["forwarding"];
  const found = value(bridge) ?? value("default");
  // `ip -6 netconf` prints text even with -j: "inet6 NAME forwarding on …".
  const ipv6 = await run(["-6", "netconf", "show"]);
  const line = (name: string) =>
    new RegExp(`^(?:ipv6|inet6) (?:dev )?${name} forwarding (on|off)`, "m").exec(ipv6.stdout)
      ?.[1];
  const said = line("all") ?? line("default");
  return {
    ipv4: typeof found === "boolean" ? found : undefined,
    ipv6: said === undefined ? undefined : said === "on",
  };
}
