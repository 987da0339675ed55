/** The programs that are compared: each runs ADD, CHECK and DEL, and can start with a number of leases. */
import { type Held, type Range, type Schema, stateText } from "./state.ts";

/** The commands of a peer, in the order of a container's life. */
export const COMMANDS = ["ADD", "CHECK", "DEL", "VERSION"] as const;
export type MeasuredCommand = typeof COMMANDS[number];

export interface Peer {
  readonly name: string;
  /** One operation while other attachments hold `held` leases; `undefined` if the peer has no such command. */
  call(
    command: MeasuredCommand,
    container: number,
    result: string,
    held?: number,
  ): Call | undefined;
  /** Writes the state of a network with `count` leases of other attachments, in this peer's format. */
  hold(count: number): void;
  /** The only command whose times count; without it all of them do. */
  readonly only?: MeasuredCommand;
  /** Runs after a DEL, unmeasured, if the peer's DEL removes too little. */
  after?(held: number): Call;
}

export interface Call {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
}

/** The smallest load: a network is without a state file only for its first ADD. */
export const FEWEST = 1;

export const SUBNET = "10.64.0.0/14";
export const GATEWAY = "10.64.0.1";
const SUBNET6 = "fd64::/64";
export const GATEWAY6 = "fd64::1";

/** A network's ranges as its state file has them. */
const RANGES: readonly Range[] = [
  { subnet: SUBNET, rangeStart: GATEWAY, rangeEnd: "10.67.255.254", gateway: GATEWAY },
  {
    subnet: SUBNET6,
    rangeStart: GATEWAY6,
    rangeEnd: "fd64::ffff:ffff:ffff:ffff",
    gateway: GATEWAY6,
  },
];

export function netnsOf(container: number): string {
  return `/run/netns/b${container}`;
}

function cniEnv(command: string, container: number, path = "/usr/lib/cni"): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: String(container).padStart(64, "b"),
    CNI_NETNS: netnsOf(container),
    CNI_IFNAME: "eth0",
    CNI_PATH: path,
  };
}

/** The `index`th address after the gateway. */
function address(index: number): string {
  const ip = ((10 << 24) | (64 << 16)) + 2 + index;
  return `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
}

/** The IPv6 address at the same offset. */
function address6(index: number): string {
  const [high, low] = [(2 + index) >>> 16, (2 + index) & 0xffff];
  return `fd64::${high === 0 ? "" : `${high.toString(16)}:`}${low.toString(16)}`;
}

function owner(index: number): string {
  return String(index).padStart(64, "f");
}

/** The settings of a peer of this program on top of the plain configuration. */
export interface Variant {
  /** Part of its network and bridge names, so that variants are separate. */
  readonly letter: string;
  readonly dual?: boolean;
  readonly guarded?: boolean;
}

/** The name of a network: one for each number of leases, so that they can be measured in turn. */
function network(held: number, { letter }: Pick<Variant, "letter"> = { letter: "" }): string {
  return `bench${letter}${held}`;
}

/** Where the program keeps its state. */
export const STATE_FOLDER = "/var/lib/atomicni";

export function stateFile(held: number, variant?: Variant, folder = STATE_FOLDER): string {
  return `${folder}/${network(held, variant)}.json`;
}

/** A build of an older commit, and the same behind the first lines of today's script form. */
export const BEFORE = "before";
export const BEFORE_TODAYS_LINE = "before, behind today's first line";

/** AtomicNI in one of its build forms. */
export function atomicni(
  name: string,
  program: string,
  schema: Schema,
  variant: Variant = { letter: "" },
  folder = STATE_FOLDER,
): Peer {
  const { letter, dual = false, guarded = false } = variant;
  const configOf = (held: number) => ({
    cniVersion: "1.0.0",
    name: network(held, variant),
    type: "atomicni",
    bridge: `bench${letter}0`,
    subnet: SUBNET,
    gateway: GATEWAY,
    ...(dual && { subnet6: SUBNET6, gateway6: GATEWAY6 }),
    ...(guarded && { macspoofchk: true }),
  });
  return {
    name,
    call: (command, container, result, held = FEWEST) => ({
      argv: [program],
      env: cniEnv(command, container),
      stdin: stdinOf(configOf(held), command, result),
    }),
    hold: (count) => {
      Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
      const leases = Array.from({ length: count }, (_, index): Held => ({
        owner: `${owner(index)}/eth0`,
        addresses: [address(index), ...(dual ? [address6(index)] : [])],
      }));
      const text = stateText(schema, leases, RANGES.slice(0, dual ? 2 : 1));
      Deno.writeTextFileSync(stateFile(count, variant, folder), text, { mode: 0o600 });
    },
  };
}

/**
 * The kernel's part of a DEL, on a veth of the same age: `of` runs ADD and CHECK, and one `ip` removes the host veth
 * instead of its DEL. Only with the smallest load.
 */
export function removal(of: Peer): Peer {
  return {
    name: "ip link del",
    only: "DEL",
    call: (command, container, result, held = FEWEST) => {
      if (held !== FEWEST || command === "VERSION") return undefined;
      if (command !== "DEL") return of.call(command, container, result, held);
      const veth = JSON.parse(result).interfaces[1].name;
      return { argv: ["/usr/sbin/ip", "link", "del", "dev", veth], env: {}, stdin: "" };
    },
    hold: () => {},
    after: (held) => {
      const call = of.call("DEL", 0, "{}", held);
      if (call === undefined) throw new Error(`${of.name} has no DEL`);
      return call;
    },
  };
}

function stdinOf(config: object, command: string, result: string): string {
  return JSON.stringify(
    command === "ADD" ? config : { ...config, prevResult: JSON.parse(result || "{}") },
  );
}

/** The reference plugins `bridge` + `host-local` of a folder, with one address family or both. */
export function reference(folder: string, dual = false, version = ""): Peer {
  const letter = `${dual ? "6" : "1"}${version}`;
  const dataDir = `/var/lib/cni-bench${letter}`;
  const configOf = (held: number) => ({
    cniVersion: "1.0.0",
    name: network(held),
    type: "bridge",
    bridge: `bench${letter}`,
    isDefaultGateway: true,
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: SUBNET }], ...(dual ? [[{ subnet: SUBNET6 }]] : [])],
      dataDir,
    },
  });
  return {
    name: ["bridge + host-local", version].join(" ").trim(),
    call: (command, container, result, held = FEWEST) => ({
      argv: [`${folder}/bridge`],
      env: cniEnv(command, container, folder),
      stdin: stdinOf(configOf(held), command, result),
    }),
    hold: (count) => {
      const leases = `${dataDir}/${network(count)}`;
      try {
        Deno.removeSync(leases, { recursive: true });
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
      Deno.mkdirSync(leases, { recursive: true });
      for (let i = 0; i < count; i++) {
        Deno.writeTextFileSync(`${leases}/${address(i)}`, `${owner(i)}\r\neth0`);
      }
      if (count > 0) Deno.writeTextFileSync(`${leases}/last_reserved_ip.0`, address(count - 1));
    },
  };
}

/** The floor: a shell script with the same `ip` commands and nothing else. */
export function floor(): Peer {
  const script = (command: string, container: number): string => {
    const host = `fl${container}`;
    const inside = `ip -n b${container}`;
    const last = container % 250;
    switch (command) {
      case "ADD":
        return `ip -d -j -batch - >/dev/null <<X
link add name ${host} mtu 1500 master bench2 up type veth peer name eth0 mtu 1500 netns ${
          netnsOf(container)
        }
link show dev ${host}
link set dev ${host} alias bench/${container}
addr show dev bench2
X
exec ${inside} -batch - <<X
link set dev eth0 address 0a:58:0a:40:00:${(last + 2).toString(16).padStart(2, "0")} up
addr add 10.64.0.${last + 2}/14 brd + dev eth0
route add default via ${GATEWAY} dev eth0
X`;
      case "CHECK":
        return `printf 'addr show dev bench2\\nlink show dev ${host}\\n' | ip -d -j -batch - >/dev/null
printf 'addr show dev eth0\\nroute show table all dev eth0\\n' | ${inside} -d -j -batch - >/dev/null`;
      default:
        return `exec ip link del dev ${host}`;
    }
  };
  return {
    name: "floor (sh + ip)",
    call: (command, container) =>
      command === "VERSION" ? undefined : {
        argv: ["/bin/sh", "-c", script(command, container)],
        env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
        stdin: "",
      },
    hold: () => {},
  };
}

/** The peer, measured with the smallest load only. */
export function withFewest(peer: Peer): Peer {
  return {
    ...peer,
    call: (command, container, result, held = FEWEST) =>
      held === FEWEST ? peer.call(command, container, result, held) : undefined,
  };
}

export const LEAST = "Deno + ip, nothing else";

/** A Deno program that does nothing but start `ip` and feed it (bench/least.ts). */
export function least(program: string): Peer {
  return withFewest({
    name: LEAST,
    call: (command, container) =>
      command === "VERSION" ? undefined : {
        argv: [program],
        env: cniEnv(command, container),
        stdin: '{"cniVersion":"1.0.0"}',
      },
    hold: () => {},
  });
}

/** A Deno program in a build form that does nothing. */
export function empty(name: string, program: string): Peer {
  return { name, call: () => ({ argv: [program], env: {}, stdin: "" }), hold: () => {} };
}
