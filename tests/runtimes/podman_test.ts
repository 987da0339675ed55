/** Debian 12's Podman with CNI as its network backend, as root, in a Debian 12 of its own. */
import { assertEquals, assertMatch } from "@std/assert";
import { test } from "../both_errors.ts";
import { type Finished, hold, isHostVeth, objects, run } from "../integration/host.ts";
import { untilWorks } from "../until.ts";
import { BUILD_IMAGE, IMAGE, PAGE } from "./containerd.ts";
import { BINARY, DEPLOY } from "./node.ts";

const PACKAGES = ["podman", "catatonit", "iproute2", "iptables"];

/** The `[network]` lines are those of a user; the others let Podman run without cgroups and overlays of its own. */
const CONTAINERS = `[network]
network_backend = "cni"
default_network = "podnet"
[containers]
cgroups = "disabled"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`;
const STORAGE = `[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
`;

/** The disk is a layer over a Debian and outlives a reboot; /run, /dev/shm and the namespaces are new. */
const BOOT = `
set -e
mkdir -p "$DISK/upper" "$DISK/work" "$DISK/root"
mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=$DISK/upper,workdir=$DISK/work" "$DISK/root"
cd "$DISK/root"
mount -t proc proc proc
mount -t sysfs sysfs sys && mount -t tmpfs tmpfs sys/fs/cgroup
mount --rbind /dev dev && mount -t tmpfs tmpfs dev/shm
mount -t tmpfs tmpfs run && mkdir -p run/lock run/netns run/old opt/cni/bin var/lib/atomicni
mount -t tmpfs tmpfs tmp
install -m 755 "$BINARY" opt/cni/bin/atomicni
install -m 755 /usr/bin/busybox usr/bin/busybox
install -m 644 "$DEPLOY/10-atomicni.conflist" etc/cni/net.d/
chmod 700 var/lib/atomicni
mkdir -p ".$(dirname "$DENO")" && touch ".$DENO" && mount --bind "$DENO" ".$DENO"
pivot_root . run/old
umount -l run/old
ip link set dev lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo ready
exec sleep infinity`;

class Machine implements AsyncDisposable {
  readonly #env: Record<string, string>;
  #holder: Deno.ChildProcess | undefined;
  #pid = "";

  private constructor(env: Record<string, string>) {
    this.#env = env;
  }

  static async create(): Promise<Machine> {
    const root = await run(["sh", "tools/debian/root", "bookworm", ...PACKAGES]);
    assertEquals(root.code, 0, root.stderr);
    const machine = new Machine({
      ROOT: root.stdout.trim(),
      DISK: await Deno.makeTempDir({ prefix: "atomicni-podman-" }),
      BINARY,
      DEPLOY,
      DENO: Deno.execPath(),
    });
    await machine.boot();
    return machine;
  }

  async boot(): Promise<void> {
    const holder = await hold(["-mnpu", "--fork", "--kill-child=KILL"], BOOT, this.#env);
    this.#holder = holder;
    const children = await Deno.readTextFile(`/proc/${holder.pid}/task/${holder.pid}/children`);
    this.#pid = children.trim();
  }

  /** As a power failure does: every process, namespace and link is gone. */
  async powerOff(): Promise<void> {
    this.#holder?.kill("SIGKILL");
    await this.#holder?.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.powerOff();
    await Deno.remove(this.#env["DISK"] ?? "", { recursive: true });
  }

  async run(command: readonly string[], stdin = ""): Promise<Finished> {
    const inside = ["nsenter", "-t", this.#pid, "-m", "-n", "-p", "-u", "--", ...command];
    return await run(inside, stdin, { PATH: "/usr/sbin:/usr/bin", HOME: "/root" });
  }

  async sh(script: string, stdin = ""): Promise<string> {
    const { code, stdout, stderr } = await this.run(["sh", "-ec", script], stdin);
    assertEquals(code, 0, `${script}: ${stdout}${stderr}`);
    return stdout.trim();
  }

  /** The page of an HTTP server, once it answers. */
  async page(url: string, ...through: string[]): Promise<string> {
    return await untilWorks(url, async () => {
      const get = [...through, "busybox", "wget", "-T", "2", "-qO-", url];
      const { code, stdout, stderr } = await this.run(get);
      if (code !== 0) throw new Error(stderr);
      return stdout;
    }, 20);
  }

  /** The addresses of both families and the MAC that Podman shows for a container. */
  async shown(container: string): Promise<string> {
    const fields = ["IPAddress", "GlobalIPv6Address", "MacAddress"]
      .map((it) => `{{.NetworkSettings.Networks.podnet.${it}}}`).join(" ");
    return await this.sh(`podman inspect --format '${fields}' ${container}`);
  }

  /** How many attachments the state, the kernel and libcni's cache have. */
  async attachments(): Promise<number[]> {
    const links = objects(await this.run(["ip", "-j", "link", "show", "type", "veth"]));
    const { containerToIP } = JSON.parse(await this.sh("cat /var/lib/atomicni/podnet.json"));
    return [
      Object.keys(containerToIP).length,
      links.filter((it) => isHostVeth(it.ifname)).length,
      Number(await this.sh("ls /var/lib/cni/results | grep -c ^podnet- || :")),
    ];
  }
}

test("Podman 4.3 with CNI: port, pod, restart, stop, its own network, reboot", async () => {
  await using machine = await Machine.create();
  await machine.sh("cat >/etc/containers/containers.conf", CONTAINERS);
  await machine.sh("cat >/etc/containers/storage.conf", STORAGE);
  await machine.sh(`${BUILD_IMAGE}; podman load -qi image.tar`);
  assertMatch(await machine.sh("podman --version; podman info"), /4\.3\.1[^]*networkBackend: cni/);
  const serve = `${IMAGE} httpd -f -h /www`;
  const served = async (address: string, ...through: string[]) =>
    assertEquals(await machine.page(`http://${address}/`, ...through), PAGE, address);

  await machine.sh(`podman run -d --name web -p 8080:80 ${serve}`);
  assertEquals(await machine.shown("web"), "10.86.0.2 fd00:10:86::2 0a:58:0a:56:00:02");
  for (const host of ["10.86.0.2", "[fd00:10:86::2]", "127.0.0.1:8080", "[fd00:10:86::1]:8080"]) {
    await served(host);
  }

  await machine.sh("podman pod create --name pod --network podnet -p 8081:80");
  await machine.sh(`podman run -d --pod pod --name first ${serve}`);
  await machine.sh(`podman run -d --pod pod --name second ${IMAGE} sleep 3600`);
  assertEquals(await machine.attachments(), [2, 2, 2], "a pod has one attachment");
  await served("127.0.0.1:8081");
  const second = ["podman", "exec", "second"];
  for (const host of ["10.86.0.2", "[fd00:10:86::2]", "127.0.0.1"]) await served(host, ...second);

  await machine.sh("podman restart -t 0 web");
  assertEquals(await machine.shown("web"), "10.86.0.4 fd00:10:86::4 0a:58:0a:56:00:04");
  await served("127.0.0.1:8080");
  await machine.sh("podman stop -t 0 web");
  assertEquals(await machine.attachments(), [1, 1, 1], "after the stop");
  await machine.sh("podman start web");
  await served("[fd00:10:86::1]:8080");

  // Podman's own network is 10.88.0.0/16, on another bridge.
  await machine.sh(`podman run -d --name own --network podman ${serve}`);
  await served("10.88.0.2");
  await machine.sh("podman rm -ft 0 own");

  const before = [await machine.shown("web"), await machine.shown("$(podman ps -qf name=infra)")];
  await machine.powerOff();
  await machine.boot();
  await machine.sh("podman start web; podman pod start pod");
  const after = [await machine.shown("web"), await machine.shown("$(podman ps -qf name=infra)")];
  assertEquals(after, before, "after a reboot");
  assertEquals(await machine.attachments(), [2, 2, 2], "after a reboot");
  for (const port of [8080, 8081]) await served(`127.0.0.1:${port}`);

  await machine.sh("podman pod rm -ft 0 pod; podman rm -ft 0 web");
  assertEquals(await machine.attachments(), [0, 0, 0], "after the removal");
  assertEquals(await machine.sh("iptables-save | grep -e '--dports' || :"), "");
});
