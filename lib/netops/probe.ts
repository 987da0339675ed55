/** What the host can do and has, beside what an attachment is made of. */
import type { InterfaceName } from "../base/names.ts";
import { dump, type IpOutput, parseIpJson, type RunIp } from "./ip.ts";
import { parseRoutes, type RouteFound } from "./links.ts";

/** Whether the kernel forwards between an interface and others, by family; `undefined` where `ip` does not show it. */
export interface Forwarding {
  readonly ipv4: boolean | undefined;
  readonly ipv6: boolean | undefined;
}

/** Why no veth can be made here. */
export interface NoVeth {
  readonly said: string;
  /** Who runs this may change no interface; else the kernel has no veth. */
  readonly isForbidden: boolean;
}

/** Asks for a veth with an MTU that no kernel takes: nothing is made, and only the kernel's words tell the refusals apart. */
export async function cannotMakeVeth(run: RunIp): Promise<NoVeth | undefined> {
  const veth = ["link", "add", "name", "atomicni-probe", "mtu", "10", "type", "veth"];
  const { stderr } = await run([...veth, "peer", "name", "atomicni-prob1"]);
  const said = stderr.split("\n")[0] ?? "";
  const isForbidden = /not permitted|[Pp]ermission denied/.test(said);
  return isForbidden || /[Uu]nknown device type|not supported/.test(said)
    ? { said, isForbidden }
    : undefined;
}

/** What `ip` says where an interface may have no IPv6 address: it is asked to give one that no interface takes. */
export async function cannotHaveIpv6(
  run: RunIp,
  dev: InterfaceName,
): Promise<IpOutput | undefined> {
  const output = await run(["addr", "add", "::/128", "dev", dev]);
  return /IPv6 is disabled|Permission denied/.test(output.stderr) ? output : undefined;
}

export async function hostRoutes(run: RunIp): Promise<RouteFound[]> {
  const of = (family: string) =>
    dump(run, "list the host's routes", [family, "-N", "-j", "route", "show"]);
  return [...await of("-4"), ...await of("-6")].flatMap(parseRoutes);
}

/** An interface that is not there yet gets what is set for `default`. */
export async function forwarding(run: RunIp, bridge: InterfaceName): Promise<Forwarding> {
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
