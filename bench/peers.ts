/** The programs that are measured side by side: each can ADD, CHECK and DEL, and can be given leases to carry. */

export interface Peer {
  readonly name: string;
  /** The command line of one operation beside `held` leases of others, its environment and its stdin. */
  call(
    command: "ADD" | "CHECK" | "DEL" | "VERSION",
    container: number,
    result: string,
    held?: number,
  ): Call | undefined;
  /** Writes the state of a network in which others hold `count` leases, in this peer's own format. */
  hold(count: number): void;
}

export interface Call {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
}

export const SUBNET = "10.64.0.0/14";
export const GATEWAY = "10.64.0.1";

export function netnsOf(container: number): string {
  return `/run/netns/b${container}`;
}

function cniEnv(command: string, container: number): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: String(container).padStart(64, "b"),
    CNI_NETNS: netnsOf(container),
    CNI_IFNAME: "eth0",
    CNI_PATH: "/usr/lib/cni",
  };
}

/** The `index`th address behind the gateway that may be held. */
function address(index: number): string {
  const ip = ((10 << 24) | (64 << 16)) + 2 + index;
  return `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
}

function owner(index: number): string {
  return String(index).padStart(64, "f");
}

/** A network for each number of leases, so that they can be measured in turn. */
function network(held: number): string {
  return `bench${held}`;
}

/** AtomicNI in one of its build forms. */
export function atomicni(name: string, program: string): Peer {
  const configOf = (held: number) => ({
    cniVersion: "1.0.0",
    name: network(held),
    type: "atomicni",
    bridge: "bench0",
    subnet: SUBNET,
    gateway: GATEWAY,
  });
  return {
    name,
    call: (command, container, result, held = 0) => ({
      argv: [program],
      env: cniEnv(command, container),
      stdin: stdinOf(configOf(held), command, result),
    }),
    hold: (count) => {
      const folder = "/var/lib/atomicni";
      Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
      const containerToIP: Record<string, string> = {};
      const ipToContainer: Record<string, string> = {};
      const leases: Record<string, unknown> = {};
      for (let i = 0; i < count; i++) {
        containerToIP[`${owner(i)}/eth0`] = address(i);
        ipToContainer[address(i)] = `${owner(i)}/eth0`;
        leases[address(i)] = {
          since: "2026-01-01T00:00:00Z",
          veth: "fe:00:00:00:00:01",
          pod: `default/pod-${i}`,
        };
      }
      const lastReserved = count === 0 ? "" : address(count - 1);
      const state = { schema: 2, lastReserved, containerToIP, ipToContainer, leases };
      Deno.writeTextFileSync(`${folder}/${network(count)}.json`, `${JSON.stringify(state)}\n`, {
        mode: 0o600,
      });
    },
  };
}

function stdinOf(config: object, command: string, result: string): string {
  return JSON.stringify(
    command === "ADD" ? config : { ...config, prevResult: JSON.parse(result || "{}") },
  );
}

/** The reference pair `bridge` + `host-local`. */
export function reference(folder: string): Peer {
  const dataDir = "/var/lib/cni-bench";
  const configOf = (held: number) => ({
    cniVersion: "1.0.0",
    name: network(held),
    type: "bridge",
    bridge: "bench1",
    isDefaultGateway: true,
    ipam: { type: "host-local", subnet: SUBNET, dataDir },
  });
  return {
    name: "bridge + host-local",
    call: (command, container, result, held = 0) => ({
      argv: [`${folder}/bridge`],
      env: cniEnv(command, container),
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

/** A Deno program in a build form that does nothing. */
export function empty(name: string, program: string): Peer {
  return { name, call: () => ({ argv: [program], env: {}, stdin: "" }), hold: () => {} };
}
