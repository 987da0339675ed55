import { assertEquals } from "@std/assert";
import { type CniCall, type Host, type Json, run } from "../integration/host.ts";
import { Agent } from "./agent.ts";
import type { Frame } from "./frames.ts";
import { loadRules } from "./load_rules.ts";
import { SIZE } from "../size.ts";
import { settled } from "../integration/settled.ts";

export interface State {
  readonly name: string;
  readonly reference?: boolean;
  readonly guard?: boolean;
  readonly rules?: boolean;
  readonly isolated?: boolean;
  readonly hairpin?: boolean;
}

/** Options of one container. */
export interface Plug {
  /** The removed container whose addresses the new container requests. */
  readonly like?: Attachment;
  /** Overrides the guard setting of the scene's state. */
  readonly guard?: boolean;
  readonly mac?: string;
  /** The namespace exists already, and a process runs in it. */
  readonly inside?: boolean;
}

export const NETWORK = {
  name: "podnet",
  bridge: "atomic0",
  subnet: "10.86.0.0/24",
  gateway: "10.86.0.1",
  subnet6: "fd88::/64",
  gateway6: "fd88::1",
} as const;

export const OUTSIDE = { ip4: "192.0.2.2", ip6: "2001:db8::2" } as const;

export interface Attachment {
  readonly id: string;
  readonly hostVeth: string;
  readonly mac: string;
  readonly ip4: string;
  readonly ip6: string;
  /** The result of its ADD, for the later plugins of a chain. */
  readonly result: Json;
}

/** The agents of the scene. `host` listens on the bridge and sees the frames that pass the bridge's rules. */
export type Place = "host" | "ann" | "bob" | "eve" | "outside";
const REFERENCE = "/usr/lib/cni";

/** A second machine behind an uplink. Bridged frames do not pass the IP rules, as on a host without br_netfilter. */
const SETUP = `
sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 \
  net.bridge.bridge-nf-call-arptables=0 2>/dev/null || :
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 \
  net.ipv4.conf.default.rp_filter=0
ip netns add outside
ip link add name uplink up type veth peer name eth0 netns outside
ip addr add 192.0.2.1/24 dev uplink
ip addr add 2001:db8::1/64 dev uplink nodad
ip -n outside link set dev eth0 up
ip -n outside addr add ${OUTSIDE.ip4}/24 dev eth0
ip -n outside addr add ${OUTSIDE.ip6}/64 dev eth0 nodad
ip -n outside route add default via 192.0.2.1
ip -n outside route add default via 2001:db8::1`;

/** Switches duplicate address detection off in the short form, because it takes seconds per link. */
function withoutDad(inside = ""): string {
  return SIZE === "full" ? "" : `\n${inside}sysctl -qw net.ipv6.conf.default.accept_dad=0`;
}

/** A private host with the containers ann, bob and eve, and an agent in each. */
export class Scene implements AsyncDisposable {
  readonly host: Host;
  readonly state: State;
  readonly #places = new Map<string, Attachment>();
  readonly #agents = new Map<Place, Agent>();
  bridgeMac = "";

  private constructor(host: Host, state: State) {
    this.host = host;
    this.state = state;
  }

  /** Without `people` the scene starts without containers and agents. */
  static async create(host: Host, state: State, people = true): Promise<Scene> {
    const scene = new Scene(host, state);
    await host.sh(SETUP + withoutDad());
    if (!people) return scene;
    for (const id of ["ann", "bob", "eve"]) await scene.plug(id);
    if (state.rules) await loadRules(host, scene.config());
    const [bridge] = await host.ip("", "link", "show", "dev", NETWORK.bridge);
    scene.bridgeMac = bridge.address;
    await scene.listen("host", "", NETWORK.bridge);
    for (const id of ["ann", "bob", "eve", "outside"] as const) await scene.listen(id, id);
    await settled(scene.host, "", "ann", "bob", "eve");
    return scene;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.#agents.values()) await agent[Symbol.asyncDispose]();
  }

  at(id: string): Attachment {
    const found = this.#places.get(id);
    if (found === undefined) throw new Error(`${id} has no attachment`);
    return found;
  }

  agent(place: Place): Agent {
    const found = this.#agents.get(place);
    if (found === undefined) throw new Error(`${place} has no agent`);
    return found;
  }

  /** Starts the agent of a place, and ends an earlier agent there. */
  async listen(place: Place, namespace: string, ifname = "eth0"): Promise<void> {
    await this.#agents.get(place)?.[Symbol.asyncDispose]();
    this.#agents.set(place, await Agent.start(this.host, namespace, ifname));
  }

  /** Eve repeats these frames until the caller ends it. */
  lies(frames: readonly Frame[]): { end(): Promise<void> } {
    let more = true;
    const sent = (async () => {
      while (more) await this.agent("eve").raw(frames, 20, 3);
    })();
    // end() reports this error; a test that fails earlier has its own error.
    sent.catch(() => {});
    return {
      end: async () => {
        more = false;
        await sent;
      },
    };
  }

  /** Runs ADD for a container in its own namespace. */
  async plug(id: string, plug: Plug = {}): Promise<Attachment> {
    if (!plug.inside) await this.host.containers(id);
    await this.host.sh(withoutDad(`ip netns exec ${id} `));
    const found = this.state.reference
      ? await this.#reference("ADD", id, plug.like)
      : await this.#add(id, plug);
    this.#places.set(id, found);
    return found;
  }

  async unplug(id: string): Promise<void> {
    if (this.state.reference) await this.#reference("DEL", id);
    else await this.host.del({ id, config: this.config() });
    await this.host.sh(`ip netns del ${id}`);
    this.#places.delete(id);
  }

  config({ guard = this.state.guard }: Plug = {}): Json {
    const { isolated, hairpin } = this.state;
    return {
      cniVersion: "1.1.0",
      type: "atomicni",
      ...NETWORK,
      ...(guard && { macspoofchk: true }),
      ...(isolated && { portIsolation: true }),
      ...(hairpin && { hairpinMode: true }),
    };
  }

  async #add(id: string, plug: Plug): Promise<Attachment> {
    const { like, mac } = plug;
    const cni = {
      ...(like !== undefined && { ips: [like.ip4, like.ip6] }),
      ...(mac !== undefined && { mac }),
    };
    const call: CniCall = { id, config: { ...this.config(plug), args: { cni } } };
    return attachment(id, await this.host.add(call));
  }

  /** Runs ADD of the reference plugins, with the reference's own guard if the state has one. */
  async #reference(command: string, id: string, like?: Attachment): Promise<Attachment> {
    const config = {
      ...(like !== undefined && { args: { cni: { ips: [like.ip4, like.ip6] } } }),
      cniVersion: "1.0.0",
      name: NETWORK.name,
      type: "bridge",
      bridge: NETWORK.bridge,
      isGateway: true,
      isDefaultGateway: true,
      macspoofchk: this.state.guard ?? false,
      ipam: {
        type: "host-local",
        dataDir: "/run/host-local",
        ranges: [[{ subnet: NETWORK.subnet }], [{ subnet: NETWORK.subnet6 }]],
      },
    };
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: `/run/netns/${id}`,
      CNI_IFNAME: "eth0",
      CNI_PATH: REFERENCE,
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    };
    const { code, stdout, stderr } = await run(
      this.host.inside(`${REFERENCE}/bridge`),
      JSON.stringify(config),
      env,
    );
    assertEquals(code, 0, `${command} of the reference: ${stdout} ${stderr}`);
    return command === "ADD" ? attachment(id, JSON.parse(stdout)) : this.at(id);
  }
}

function attachment(id: string, result: Json): Attachment {
  const { interfaces, ips } = result;
  const bare = (found: Json) => found?.address.split("/")[0];
  const inside = interfaces.find((it: Json) => it.sandbox !== undefined && it.sandbox !== "");
  const host = interfaces.find((it: Json) => !it.sandbox && it.name !== NETWORK.bridge);
  const ip4 = bare(ips.find((it: Json) => !it.address.includes(":")));
  const ip6 = bare(ips.find((it: Json) => it.address.includes(":")));
  return { id, hostVeth: host.name, mac: inside.mac, ip4, ip6, result };
}
