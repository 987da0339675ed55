/** What the host can do and has, beside what an attachment is made of. */
import type { InterfaceName } from "../base/names.ts";
import { hostLink } from "./host.ts";
import { dump, parseIpJson, type RunIp } from "./ip.ts";
import { parseRoutes, type RouteFound } from "./links.ts";

/** Whether the kernel forwards between an interface and others, by family; `undefined` where `ip` does not show it. */
export interface Forwarding {
  readonly ipv4: boolean | undefined;
  readonly ipv6: boolean | undefined;
}

/** Sets `lo` to what it is, which changes nothing and is refused to who may change nothing. */
export async function cannotChange(run: RunIp): Promise<string | undefined> {
  const lo = await hostLink(run, "lo");
  const output = await run(["link", "set", "dev", "lo", lo?.up === true ? "up" : "down"]);
  return output.success ? undefined : output.stderr.split("\n")[0] ?? "";
}

/** Asks for a veth with an MTU that no kernel takes, but one without veths refuses for another reason. */
export async function cannotMakeVeth(run: RunIp): Promise<string | undefined> {
  const peer = ["peer", "name", "atomicni-prob1"];
  const output = await run([
    "link",
    "add",
    "name",
    "atomicni-probe",
    "mtu",
    "10",
    "type",
    "veth",
    ...peer,
  ]);
  // Only the kernel's words tell the two refusals apart.
  return /[Uu]nknown device type|not supported/.test(output.stderr)
    ? output.stderr.split("\n")[0]
    : undefined;
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
