import type { Answer, Host, Json } from "../../integration/host.ts";
import { type Complaint, kindOf } from "../property.ts";
import type { Facts, Party } from "./compose.ts";
import { type Kernel, linkLocalOf } from "./kernel.ts";
import type { Lab } from "./lab.ts";
import {
  BRIDGE,
  configOf,
  containerScript,
  GATEWAY,
  HOST,
  type Network,
  OUTSIDE,
  UPLINK,
} from "./network.ts";

/** The attacker, two honest containers that stay, and two that come and go. */
export const EVE = "eve";
export const PEOPLE = ["bob", "ann", EVE, "zoe", "yan"] as const;
const STATE = "/var/lib/atomicni/podnet.json";
export const COPY = "/run/copy.json";

export interface StageAttachment {
  readonly id: string;
  readonly ifname: string;
  readonly mac: string;
  readonly ips: readonly string[];
  readonly veth: string;
  readonly result: Json;
}

/** The network of one case, on a private host. */
export class Stage {
  readonly host: Host;
  readonly lab: Lab;
  network: Network;
  readonly #under: readonly string[];
  readonly attached = new Map<string, StageAttachment>();
  /** MACs of all attachments so far: an entry of a removed one may still exist. */
  readonly macs = new Set<string>();
  /** The state file no longer agrees with the containers. */
  stateIsLost = false;
  /** Neighbours may have wrong entries for each other. */
  isDeceived = false;
  /** The answer of a command that should have worked. */
  complaint: Complaint | undefined;

  constructor(host: Host, lab: Lab, network: Network, under: readonly string[]) {
    this.host = host;
    this.lab = lab;
    this.network = network;
    this.#under = under;
  }

  async build(): Promise<void> {
    const scripts = PEOPLE.map((id) => containerScript(id, this.network));
    await this.host.sh([HOST, ...scripts].join("\n"));
    const [rules] = await Promise.all([
      this.network.rules ? this.#run(["host-rules"]) : undefined,
      this.add("bob", "eth0"),
      this.add("ann", "eth0"),
    ]);
    if (rules !== undefined) await this.#load(rules);
    await this.host.sh(`cp -p ${STATE} ${COPY}`);
    await this.add(EVE, "eth0");
    const port = this.attached.get(`${EVE}/eth0`)?.veth;
    if (this.network.ungrouped && port !== undefined) {
      await this.host.sh(`ip link set dev ${port} group default`);
    }
    await this.lab.open(["", "outside", ...PEOPLE.slice(0, 3)], BRIDGE);
  }

  async #load(rules: Answer): Promise<void> {
    const { code, stderr } = await this.host.run(["nft", "-f", "-"], rules.stdout);
    if (code !== 0) this.fail("the rules can't be loaded", { ...rules, stderr });
  }

  /** The containers that obey the rules. */
  honest(): StageAttachment[] {
    return [...this.attached.values()].filter(({ id }) => id !== EVE);
  }

  fail(kind: string, { code, stdout, stderr }: Answer): void {
    this.complaint ??= { kind, about: `exit ${code}: ${stdout}${stderr}` };
  }

  #cni(command: string, id: string, ifname: string, more: Json = {}): Promise<Answer> {
    const config = { ...configOf(this.network), ...more };
    return this.host.cni(command, { id, ifname, config, under: this.#under });
  }

  #run(words: readonly string[]): Promise<Answer> {
    return this.host.program(words, JSON.stringify(configOf(this.network)), {}, this.#under);
  }

  /** `may`: codes with which the ADD may fail. */
  async add(
    id: string,
    ifname: string,
    may: readonly number[] = [],
    more: Json = {},
  ): Promise<void> {
    // Only the first network of a container has a default route.
    const ipam = { ...configOf(this.network).ipam, ...(ifname !== "eth0" && { routes: [] }) };
    const added = await this.#cni("ADD", id, ifname, { ipam, ...more });
    if (added.code !== 0) {
      if (!may.includes(added.json?.code)) {
        this.fail(`an ADD fails: ${kindOf(added.json?.msg ?? "")}`, added);
      }
      return;
    }
    const result = added.json;
    const [, veth, inner] = result.interfaces;
    this.macs.add(inner.mac);
    const ips = result.ips.map(({ address }: Json) => address.split("/")[0]);
    this.attached.set(`${id}/${ifname}`, {
      ...{ id, ifname, ips, result, mac: inner.mac, veth: veth.name },
    });
  }

  async del(id: string, ifname: string): Promise<void> {
    if (!this.attached.delete(`${id}/${ifname}`)) return;
    const ended = await this.#cni("DEL", id, ifname);
    if (ended.code !== 0) this.fail("a DEL fails", ended);
  }

  /** Ends the container that has the last address. */
  async free(): Promise<void> {
    for (const { id, ifname } of [...this.attached.values()]) {
      if (id === "zoe" || id === "yan" || ifname !== "eth0") await this.del(id, ifname);
    }
  }

  async fill(): Promise<void> {
    if (this.attached.has("zoe/eth0")) return;
    await this.free();
    await this.add("zoe", "eth0");
  }

  async check(id: string): Promise<Answer> {
    const prevResult = this.attached.get(`${id}/eth0`)?.result;
    return await this.#cni("CHECK", id, "eth0", { prevResult });
  }

  /** All attachments are valid, and so are those in progress. */
  async collect(coming: readonly string[] = []): Promise<void> {
    const list = [...this.attached.keys(), ...coming].map((owner) => {
      const [containerID, ifname] = owner.split("/");
      return { containerID, ifname };
    });
    const ended = await this.#cni("GC", "bob", "eth0", { "cni.dev/valid-attachments": list });
    if (ended.code !== 0) this.fail("a GC fails", ended);
  }

  /** `mayRefuse`: two containers claim one MAC, and only root can decide between them. */
  async repair(mayRefuse = false): Promise<void> {
    const answer = await this.#run(["repair"]);
    if (answer.code === 2 && !mayRefuse) this.fail("repair is refused", answer);
    // repair reports this if a fault remains.
    this.lastRepair = answer.stdout + answer.stderr;
  }
  lastRepair = "";

  facts(kernel: Kernel): Facts {
    const mac = kernel.links.find(({ ifname }) => ifname === BRIDGE)?.address ?? "";
    const host = { mac, linkLocal: linkLocalOf(kernel.links, BRIDGE) };
    const [own, neighbour] = [this.#party(EVE, "2", kernel), this.#party("bob", "3", kernel)];
    const gateway = { ...host, 4: this.#own(GATEWAY[4]), 6: this.#own(GATEWAY[6]) };
    const of = (family: 4 | 6, present: string, absent: string) =>
      this.network.families.includes(family) ? present : absent;
    return {
      own,
      neighbour,
      gateway,
      reach: {
        host: { 4: of(4, GATEWAY[4], UPLINK[4]), 6: of(6, GATEWAY[6], UPLINK[6]) },
        "host link-local": { 4: UPLINK[4], 6: host.linkLocal },
        neighbour: { 4: neighbour[4], 6: of(6, neighbour[6], neighbour.linkLocal) },
        outside: OUTSIDE,
        all: { 4: "255.255.255.255", 6: "ff02::1" },
      },
    };
  }

  /** An address of the network's own, or a similar one if the network lacks the family. */
  #own(address: string): string {
    const has = this.network.families.includes(address.includes(":") ? 6 : 4);
    return has ? address : address.replace(/^10\.86/, "10.77").replace(/^fd88/, "fd77");
  }

  #party(id: string, last: string, { inside }: Kernel): Party {
    const { mac = "", ips = [] } = this.attached.get(`${id}/eth0`) ?? {};
    return {
      mac,
      4: ips.find((it) => !it.includes(":")) ?? `10.77.0.${last}`,
      6: ips.find((it) => it.includes(":")) ?? `fd77::${last}`,
      linkLocal: linkLocalOf(inside.get(id)?.links ?? [], "eth0"),
    };
  }
}
