import type { Json } from "../integration/host.ts";
import { buildImage, manifest } from "./delivery.ts";
import { Kubelet, type PodRun } from "./kubelet.ts";
import { RootNode, type Suite } from "./root_node.ts";

export const CONFLIST = "/etc/cni/net.d/10-atomicni.conflist";
const ROUTER = "192.0.2.1";
/** Time limit of an installation on a loaded machine, in seconds. */
const PATIENCE = 60;

export interface Setting {
  readonly suite: Suite;
  readonly uplink: string;
  /** The address of the service "kubernetes". */
  readonly service: string;
  readonly ranges: readonly string[];
}

/** A broken invariant, which the message names. */
export class Broken extends Error {}

/** Changes a copy of the manifest's documents. */
export type Change = (documents: Json[]) => void;

/** One node with its API server, and everything that people and accidents do to it. */
export class Life implements AsyncDisposable {
  readonly node: RootNode;
  readonly kubelet: Kubelet;
  readonly setting: Setting;
  #ranges: readonly string[];
  #attached = new Map<string, { address: string; config: Json }>();
  #next = 0;

  private constructor(setting: Setting, node: RootNode, kubelet: Kubelet) {
    this.setting = setting;
    this.#ranges = setting.ranges;
    this.node = node;
    this.kubelet = kubelet;
  }

  static async begin(image: string, setting: Setting): Promise<Life> {
    const { suite, uplink, service, ranges } = setting;
    const node = await RootNode.create({ image, suite, uplink });
    const kubelet = await Kubelet.start(node, service);
    await kubelet.ranges(...ranges);
    return new Life(setting, node, kubelet);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kubelet[Symbol.asyncDispose]();
    await this.node[Symbol.asyncDispose]();
  }

  get attached(): readonly string[] {
    return [...this.#attached.keys()];
  }

  /** The pod that is not ending. */
  get pod(): PodRun | undefined {
    return this.kubelet.pods.findLast(({ isEnding }) => !isEnding);
  }

  /** Applies the manifest with a change; for Debian 11, whose iproute2 has no guard, without the guard. */
  async apply(...changes: Change[]): Promise<PodRun> {
    const documents = await this.documents(...changes);
    return await this.kubelet.apply(documents);
  }

  async documents(...changes: Change[]): Promise<Json[]> {
    const documents = await manifest();
    withoutPortmap(documents);
    if (this.setting.suite === "bullseye") withoutGuard(documents);
    for (const change of changes) change(documents);
    return documents;
  }

  async installed(): Promise<void> {
    const pod = this.pod;
    if (pod === undefined) throw new Error("there is no pod");
    await this.node.until("the DaemonSet is installed and ready", async () => {
      const isThere = await this.conflist() !== undefined && await this.kubelet.isReady(pod);
      if (isThere) return true;
      throw new Broken(`not installed: ${await this.kubelet.said(pod)}`);
    }, PATIENCE);
  }

  /** The conflist on the node as a runtime reads it; `undefined` if there is none. */
  async conflist(): Promise<Json | undefined> {
    const text = await this.node.quietly(`cat ${CONFLIST}`);
    if (text === "") return undefined;
    try {
      return JSON.parse(text);
    } catch {
      throw new Broken(`a runtime finds a conflist that is not JSON: ${text}`);
    }
  }

  /** Attaches a container; returns its ID. */
  async attach(): Promise<string> {
    const id = `c${++this.#next}`;
    await this.node.containers(id);
    const config = await this.#config();
    if (config === undefined) throw new Broken("there is no network for a pod");
    const { code, stdout } = await this.node.cni("ADD", config, id);
    if (code !== 0) {
      await this.node.sh(`ip netns del ${id}`);
      throw new Broken(`an ADD failed: ${stdout}`);
    }
    const [{ address }] = JSON.parse(stdout).ips;
    this.#attached.set(id, { address, config });
    if (!this.#ranges.some((it) => address.startsWith(it.replace(/0\/.*/, "")))) {
      throw new Broken(`a pod got ${address}, and the node has ${this.#ranges}`);
    }
    return id;
  }

  async detach(id: string): Promise<void> {
    const config = await this.#config() ?? this.#attached.get(id)?.config;
    const { code, stdout } = await this.node.cni("DEL", config, id);
    if (code !== 0) throw new Broken(`a DEL failed: ${stdout}`);
    await this.node.sh(`ip netns del ${id}`);
    this.#attached.delete(id);
  }

  async ranges(...ranges: string[]): Promise<void> {
    this.#ranges = ranges;
    await this.kubelet.ranges(...ranges);
  }

  /** The node loses power and boots again: systemd's part of a boot, then kubelet with the pod. */
  async reboot(documents: readonly Json[]): Promise<void> {
    const pods = this.kubelet.pods.filter(({ isEnding }) => !isEnding);
    for (const pod of pods) pod.isEnding = true;
    await this.node.powerOff();
    await Promise.all(pods.map(({ done }) => done));
    this.#attached.clear();
    await this.node.boot();
    await this.node.sh(BOOT_SERVICES);
    await this.kubelet.unreachable();
    await this.kubelet.serve();
    if (pods.length > 0) await this.kubelet.start(documents);
  }

  /** The invariants that hold at any time; `settled` means that nothing is in progress. */
  async check(settled = true): Promise<void> {
    for (const id of this.#attached.keys()) await this.#reaches(id);
    const conflist = await this.conflist();
    for (const { type } of conflist?.plugins ?? []) {
      const file = `/opt/cni/bin/${type}`;
      const { code } = await this.node.run(["test", "-x", file]);
      if (code !== 0) throw new Broken(`the conflist names ${type}, and ${file} can't be run`);
    }
    const pod = this.pod;
    if (!settled || pod === undefined || !await this.kubelet.isReady(pod)) return;
    const id = await this.attach();
    await this.#reaches(id);
    await this.detach(id);
  }

  /** A container reaches the router, which knows no route back to it. */
  async #reaches(id: string): Promise<void> {
    for (let tries = 0; tries < 3; tries++) if (await this.node.pings(id, ROUTER)) return;
    throw new Broken(`${id} (${this.#attached.get(id)?.address}) does not reach ${ROUTER}`);
  }

  /** After the DaemonSet was deleted and the node has no pods: only the objects that the page names are left. */
  async nothingLeft(): Promise<void> {
    const left = await this.node.sh(`
find /etc /opt /run/atomicni -name '*atomicni*' ! -path /etc/atomicni ! -path /run/atomicni 2>/dev/null || :
nft list tables | grep atomicni || :
ip -br link show type bridge | grep atomic0 || :`);
    if (left !== "") throw new Broken(`left behind:\n${left}`);
  }

  /** The answer of this plugin, as installed in the conflist, to a runtime. */
  async #config(): Promise<Json | undefined> {
    const list = await this.conflist();
    if (list === undefined) return undefined;
    const { name, cniVersion } = list;
    return { ...list.plugins.find(({ type }: Json) => type === "atomicni"), name, cniVersion };
  }
}

/** The steps of systemd before containers start, as far as this project's files request them. */
const BOOT_SERVICES = `
/lib/systemd/systemd-sysctl 2>/dev/null || :
systemd-tmpfiles --create --prefix=/run/netns --prefix=/var/lib/atomicni 2>/dev/null || :
for unit in /etc/systemd/system/multi-user.target.wants/atomicni-rules@*.service; do
  [ -e "$unit" ] || continue
  network=\${unit##*@}
  nft -f "/etc/atomicni/\${network%.service}.nft"
done`;

/** Debian's plugins are not on these nodes. */
function withoutPortmap(documents: readonly Json[]): void {
  edit(documents, (list) => {
    list.plugins = list.plugins.filter(({ type }: Json) => type === "atomicni");
  });
}

function withoutGuard(documents: readonly Json[]): void {
  edit(documents, (list) => delete list.plugins[0].macspoofchk);
}

/** Changes the conflist of the manifest; the node writes its ranges and its MTU. */
export function edit(documents: readonly Json[], change: (list: Json) => void): void {
  for (const { kind, data } of documents) {
    if (kind !== "ConfigMap" || data.conflist === undefined) continue;
    const text = data.conflist.replace(/@(\w+)@/g, '"@$1@"');
    const list = JSON.parse(text);
    change(list);
    data.conflist = JSON.stringify(list).replace(/"@(\w+)@"/g, "@$1@");
  }
}

/** An image in a folder, created once for all lives. */
export async function image(program = `${Deno.cwd()}/bin/atomicni`): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "atomicni-image-" });
  await buildImage(folder, program);
  return folder;
}
