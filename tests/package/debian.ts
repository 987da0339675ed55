import { assertEquals } from "@std/assert";
import { CONFIG, type Finished, hold, type Json, run } from "../integration/host.ts";

/** The environment names a clean Debian (tools/debian/root) and a folder with the packages to try. */
const ROOT = Deno.env.get("DEBIAN_ROOT") ?? "";
export const PACKAGES = Deno.env.get("PACKAGES") ?? "";

/** A private layer over the clean root, with the mounts of a running Debian. */
const SETUP = `
set -e
mount -t tmpfs tmpfs "$AT" && mkdir "$AT/upper" "$AT/work" "$AT/root"
mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=$AT/upper,workdir=$AT/work" "$AT/root"
cd "$AT/root"
mount -t proc proc proc && mount -t sysfs sysfs sys && mount --rbind /dev dev && mount -t tmpfs tmpfs run
mkdir run/lock && mount --bind -o ro "$PACKAGES" mnt && cp /usr/bin/busybox run/busybox
ip link set dev lo up
echo ready
while :; do sleep 1; done`;

/** A private Debian for one test, in namespaces that end with its process 1. */
export class Debian implements AsyncDisposable {
  readonly #holder: Deno.ChildProcess;
  readonly #at: string;
  readonly #enter: readonly string[];

  private constructor(holder: Deno.ChildProcess, at: string, pid: number) {
    this.#holder = holder;
    this.#at = at;
    this.#enter = ["nsenter", "-t", `${pid}`, "-m", "-n", "-p", "--", "chroot", `${at}/root`];
  }

  static async create(): Promise<Debian> {
    const at = await Deno.makeTempDir({ prefix: "atomicni-deb-" });
    const options = ["-mnp", "--fork", "--kill-child=KILL"];
    const holder = await hold(options, SETUP, { AT: at, ROOT, PACKAGES });
    const children = `/proc/${holder.pid}/task/${holder.pid}/children`;
    return new Debian(holder, at, Number((await Deno.readTextFile(children)).trim()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#holder.kill("SIGKILL");
    await this.#holder.status;
    await Deno.remove(this.#at);
  }

  async run(command: readonly string[], stdin = "", env = {}): Promise<Finished> {
    return await run([...this.#enter, ...command], stdin, {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: "/root",
      ...env,
    });
  }

  /** Runs a shell script inside and returns its output; its failure fails the test. */
  async sh(script: string, stdin = ""): Promise<string> {
    const { code, stdout, stderr } = await this.run(["sh", "-ec", script], stdin);
    assertEquals(code, 0, `${script}: ${stdout}${stderr}`);
    return stdout;
  }

  /** The real dpkg, which can't ask anything: its stdin is at its end. Returns its whole output. */
  async dpkg(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(["dpkg", ...args]);
    const said = `$ dpkg ${args.join(" ")}\n${stdout}${stderr}`;
    transcript(said);
    assertEquals(code, 0, said);
    return said;
  }

  async install(version: string): Promise<string> {
    return await this.dpkg("-i", `/mnt/atomicni_${version}_${ARCHITECTURE}.deb`);
  }

  async container(id: string): Promise<void> {
    await this.sh(`ip netns add ${id} && ip -n ${id} link set dev lo up`);
  }

  /** Runs the installed program as a runtime does. */
  async cni(command: string, id: string, config: Json = CONFIG): Promise<Finished> {
    return await this.run(["/usr/lib/cni/atomicni"], JSON.stringify(config), {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: `/run/netns/${id}`,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/usr/lib/cni",
    });
  }

  /** An ADD that has to succeed; returns its address. */
  async add(id: string): Promise<string> {
    const { code, stdout, stderr } = await this.cni("ADD", id);
    assertEquals(code, 0, `ADD ${id}: ${stdout}${stderr}`);
    return JSON.parse(stdout).ips[0].address;
  }

  async del(id: string): Promise<void> {
    const { code, stdout, stderr } = await this.cni("DEL", id);
    assertEquals(code, 0, `DEL ${id}: ${stdout}${stderr}`);
  }

  async pings(id: string, to: string): Promise<boolean> {
    const command = ["ip", "netns", "exec", id, "/run/busybox", "ping", "-c", "1", "-W", "2", to];
    return (await this.run(command)).code === 0;
  }

  /** Every file and link except those of the kernel, of dpkg itself and of other programs' caches. */
  async files(): Promise<string[]> {
    const found = await this.sh(
      `find / -xdev \\( -path /var/lib/dpkg -o -path /var/log -o -path /var/cache -o -path /mnt -o -path /tmp \\) -prune -o ` +
        `-printf '%p %y %l\\n' | sort`,
    );
    return found.trim().split("\n");
  }
}

export const ARCHITECTURE = Deno.build.arch === "aarch64" ? "arm64" : "amd64";

/** Appends dpkg's output to the file that DEB_LOG names, if any. */
function transcript(text: string): void {
  const file = Deno.env.get("DEB_LOG");
  if (file !== undefined) Deno.writeTextFileSync(file, `${text}\n`, { append: true });
}
