import { fromFileUrl } from "@std/path/posix";
import { type Finished, hold, isHostVeth, type Json, objects, run } from "../integration/host.ts";

import { type Found, until, untilWorks } from "../until.ts";

const PROJECT = fromFileUrl(new URL("../../", import.meta.url));
/** The Debian releases of a cluster's nodes. */
export const SUITES = ["bullseye", "bookworm", "trixie"] as const;
export type Suite = typeof SUITES[number];

/** A clean Debian with these packages, created once per machine. */
export async function debianRoot(suite: string, ...packages: string[]): Promise<string> {
  const { code, stdout, stderr } = await run([
    "sh",
    `${PROJECT}tools/debian/root`,
    suite,
    ...packages,
  ]);
  if (code !== 0) throw new Error(`debian_root ${suite}: ${stderr}`);
  return stdout.trim();
}

/**
 * A node as it boots: its disk is a layer over a Debian and outlives a reboot; /run is empty, and the namespaces are
 * new. The image of the pods is at /run/image. The uplink leads to the namespace `router`, which has no route to pods.
 */
const BOOT = `
set -e
mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=$DISK/upper,workdir=$DISK/work" "$DISK/root"
cd "$DISK/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p run/lock run/netns run/image/layer run/image/root run/api lib/modules opt/cni/bin etc/cni/net.d
mount --bind "$IMAGE/layer" run/image/layer
mount --bind "$(readlink -f "$IMAGE/root")" run/image/root
mount --bind "$API" run/api
mount --bind "$MODULES" lib/modules
cp /usr/bin/busybox run/busybox
mkdir run/old
pivot_root . run/old
umount -l run/old
mount --make-rshared /
ip link set dev lo up
ip netns add router
ip link add name "$UPLINK" type veth peer name router netns router
ip -n router link set dev lo up
ip -n router link set dev router up
ip link set dev "$UPLINK" up
ip addr add 192.0.2.10/24 dev "$UPLINK"
ip -n router addr add 192.0.2.1/24 dev router
ip route add default via 192.0.2.1
hostname "$NAME"
echo ready
exec sleep infinity`;

export interface NodeOptions {
  readonly suite?: Suite;
  readonly uplink?: string;
  readonly name?: string;
  /** The folder that holds the image's root. */
  readonly image: string;
}

/** A machine for one test with the userland of a Debian; everything in it ends with its process 1. */
export class RootNode implements AsyncDisposable {
  readonly name: string;
  readonly folder: string;
  readonly #env: Record<string, string>;
  #holder: Deno.ChildProcess | undefined;
  #pid = 0;

  private constructor(name: string, folder: string, env: Record<string, string>) {
    this.name = name;
    this.folder = folder;
    this.#env = env;
  }

  static async create(options: NodeOptions): Promise<RootNode> {
    const { suite = "trixie", uplink = "eth0", name = "node-a", image } = options;
    const folder = await Deno.makeTempDir({ prefix: "atomicni-kube-" });
    for (const it of ["disk/upper", "disk/work", "disk/root", "api", "modules"]) {
      await Deno.mkdir(`${folder}/${it}`, { recursive: true });
    }
    const node = new RootNode(name, folder, {
      ROOT: await debianRoot(suite, "iproute2", "systemd", "nftables"),
      DISK: `${folder}/disk`,
      API: `${folder}/api`,
      MODULES: `${folder}/modules`,
      IMAGE: image,
      UPLINK: uplink,
      NAME: name,
    });
    await node.boot();
    return node;
  }

  /** Process 1, by its process ID outside. */
  get pid(): number {
    return this.#pid;
  }

  get isOn(): boolean {
    return this.#holder !== undefined;
  }

  async boot(): Promise<void> {
    const options = ["-mnpu", "--fork", "--kill-child=KILL"];
    this.#holder = await hold(options, BOOT, { ...Deno.env.toObject(), ...this.#env });
    const children = `/proc/${this.#holder.pid}/task/${this.#holder.pid}/children`;
    this.#pid = Number((await Deno.readTextFile(children)).trim());
  }

  /** As a power failure does: every process, namespace and link is gone, the disk stays. */
  async powerOff(): Promise<void> {
    const holder = this.#holder;
    this.#holder = undefined;
    holder?.kill("SIGKILL");
    await holder?.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.powerOff();
    await until(
      `${this.folder} is removed`,
      async () => (await run(["rm", "-rf", this.folder])).code === 0,
    );
  }

  inside(...command: string[]): string[] {
    return ["nsenter", "-t", `${this.#pid}`, "-m", "-n", "-p", "-u", "--", ...command];
  }

  async run(
    command: readonly string[],
    stdin = "",
    env: Record<string, string> = {},
  ): Promise<Finished> {
    return await run(this.inside(...command), stdin, {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: "/root",
      ...env,
    });
  }

  /** Runs a shell script inside and returns its output; its failure fails the test. */
  async sh(script: string, stdin = ""): Promise<string> {
    const { code, stdout, stderr } = await this.run(["sh", "-ec", script], stdin);
    if (code !== 0) throw new Error(`${this.name}: ${script}: exit ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /** The same, or nothing if it fails. */
  async quietly(script: string): Promise<string> {
    const { code, stdout } = await this.run(["sh", "-ec", script]);
    return code === 0 ? stdout.trim() : "";
  }

  /** `ip -d -j` with these arguments; nothing if it fails. */
  async ip(...args: string[]): Promise<Json[]> {
    return objects(await this.run(["ip", "-d", "-j", ...args]));
  }

  /** Creates network namespaces that represent containers. */
  async containers(...ids: string[]): Promise<void> {
    await this.sh(ids.map((id) => `ip netns add ${id}; ip -n ${id} link set dev lo up`).join("\n"));
  }

  /** Runs the installed plugin of a conflist as a runtime does. */
  async cni(command: string, config: unknown, id: string): Promise<Finished> {
    return await this.run(["/opt/cni/bin/atomicni"], JSON.stringify(config), {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: `/run/netns/${id}`,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
    });
  }

  async pings(id: string, to: string): Promise<boolean> {
    const command = ["ip", "netns", "exec", id, "/run/busybox", "ping", "-c", "1", "-W", "1", to];
    return (await this.run(command)).code === 0;
  }

  async hostVeths(): Promise<Json[]> {
    return (await this.ip("link", "show", "type", "veth")).filter((it) => isHostVeth(it.ifname));
  }

  /** Tries until `attempt` returns something; then the test fails with the last failure. */
  async until<T>(
    what: string,
    attempt: () => Promise<T | undefined>,
    seconds = 30,
  ): Promise<Found<T>> {
    return await untilWorks(`${this.name}: ${what}`, attempt, seconds);
  }
}
