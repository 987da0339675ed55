import { BUILT } from "../integration/host.ts";

/** The built program: a machine has no source and no cache of Deno. */
export const PROGRAM: string = BUILT ?? `${Deno.cwd()}/bin/atomicni.js`;
export const NAME = "podnet";

/** A network of three addresses: a pool that three dead containers fill. */
export const NETWORK = {
  cniVersion: "1.1.0",
  name: NAME,
  type: "atomicni",
  bridge: "atomic0",
  subnet: "10.86.0.0/29",
  gateway: "10.86.0.1",
  ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.4" },
};

/** The same with addresses of both families. */
export const DUAL = { ...NETWORK, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };

export interface Call {
  readonly program?: string;
  readonly id?: string;
  readonly netns?: string;
  readonly network?: unknown;
}

/** A line of shell that runs the plugin. */
export function cni(command: string, call: Call = {}): string {
  const { program = PROGRAM, id = "c1", netns = "c1", network = NETWORK } = call;
  const variables = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: id,
    CNI_NETNS: `/run/netns/${netns}`,
    CNI_IFNAME: "eth0",
    CNI_PATH: "/opt/cni/bin",
  };
  const set = Object.entries(variables).map(([name, value]) => `${name}=${quote(value)}`).join(" ");
  return `printf %s ${quote(JSON.stringify(network))} | env ${set} ${quote(program)}`;
}

/** Quotes a text as one shell word. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
