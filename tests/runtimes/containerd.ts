import { assert, assertStringIncludes } from "@std/assert";
import { run } from "../integration/host.ts";
import { until } from "../until.ts";
import type { Node } from "./node.ts";

/**
 * The image of the tests: only busybox, with a page to serve. `pause` is the same image under the name that CRI
 * uses.
 */
export const IMAGE = "localhost/busybox:1";
export const PAUSE = "localhost/pause:1";

/** The package's own configuration, as dpkg has recorded it. */
const PACKAGED = "/etc/containerd/config.toml";

/**
 * The package's configuration, which names its own folder for plugins, with added lines: a pause image that needs no
 * registry, and `restrict_oom_score_adj`, without which no pod starts inside a container. No line is changed.
 */
async function config(networks: number, more: string): Promise<string> {
  const text = await Deno.readTextFile(PACKAGED);
  const { stdout } = await run(["dpkg-query", "-W", "-f=${Conffiles}", "containerd"]);
  const { stdout: sum } = await run(["md5sum", PACKAGED]);
  assertStringIncludes(stdout, `${PACKAGED} ${sum.split(" ")[0]}`, "the file was edited");
  return withLines(
    withLines(
      text,
      '[plugins."io.containerd.grpc.v1.cri"]',
      `sandbox_image = "${PAUSE}"`,
      "restrict_oom_score_adj = true",
    ),
    '[plugins."io.containerd.grpc.v1.cri".cni]',
    `max_conf_num = ${networks}`,
    more,
  );
}

/** `lines` under the heading of a TOML table. */
function withLines(text: string, heading: string, ...lines: readonly string[]): string {
  const [before, after, ...more] = text.split(`${heading}\n`);
  assert(
    after !== undefined && more.length === 0,
    `${PACKAGED} does not have exactly one ${heading}`,
  );
  return [before, heading, "\n", ...lines.map((line) => `${line}\n`), after].join("");
}

const ARCHITECTURE = Deno.build.arch === "x86_64" ? "amd64" : "arm64";

/** Shell lines that create /run/image/image.tar, as `docker save` does, from Debian's static busybox. */
export const BUILD_IMAGE = `
mkdir -p /run/image/rootfs/bin /run/image/rootfs/www /run/image/rootfs/etc
cd /run/image
cp /usr/bin/busybox rootfs/bin/
for applet in sh httpd wget sleep ip cat dd sysctl; do ln -s busybox rootfs/bin/$applet; done
echo 'a page from a container' >rootfs/www/index.html
dd if=/dev/zero of=rootfs/www/block bs=64k count=32 2>/dev/null
tar -C rootfs -cf layer.tar .
sum=$(sha256sum layer.tar | cut -d' ' -f1)
printf '{"architecture":"${ARCHITECTURE}","os":"linux","config":{"Cmd":["/bin/sleep","3600"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' $sum >config.json
printf '[{"Config":"config.json","RepoTags":["${IMAGE}","${PAUSE}"],"Layers":["layer.tar"]}]' >manifest.json
tar -cf image.tar manifest.json config.json layer.tar
rm -r rootfs layer.tar`;

export const PAGE = "a page from a container\n";
/** Size of /www/block in the image. */
export const BLOCK_BYTES = 32 * 64 * 1024;

/** Debian's containerd on a node. */
export class Containerd {
  readonly #node: Node;
  #pid = 0;

  private constructor(node: Node) {
    this.#node = node;
  }

  /**
   * Starts containerd and loads the image, for `ctr` and for CRI. CRI attaches pods to that many networks. `more` is a
   * line of its network settings.
   */
  static async start(node: Node, networks = 1, more = ""): Promise<Containerd> {
    const containerd = new Containerd(node);
    await node.write("/etc/containerd/config.toml", await config(networks, more));
    await containerd.restart();
    await node.sh(BUILD_IMAGE);
    for (const namespace of ["default", "k8s.io"]) {
      await node.sh(`ctr -n ${namespace} image import /run/image/image.tar`);
    }
    return containerd;
  }

  async restart(): Promise<void> {
    const node = this.#node;
    this.#pid = await node.daemon("containerd", "containerd", "--log-level", "warn");
    await node.until("containerd answers", async () => await node.sh("ctr version"));
  }

  /** Kills containerd, as a crash does; containers continue. */
  async crash(): Promise<void> {
    await this.#node.sh(`kill -9 ${this.#pid}`);
    await this.#node.until(
      "containerd is gone",
      async () =>
        (await this.#node.run(["test", "-d", `/proc/${this.#pid}`])).code !== 0 || undefined,
    );
  }

  /** Runs a container with `ctr run --cni` in the background; returns its command. */
  async run(id: string, ...command: string[]): Promise<string> {
    const line = `ctr run --detach --cni ${IMAGE} ${[id, ...command].join(" ")}`;
    await this.#node.sh(line);
    return line;
  }

  /** The output of a command inside a running container. */
  async exec(id: string, ...command: string[]): Promise<string> {
    const words = command.map((word) => `'${word}'`).join(" ");
    const session = crypto.randomUUID().slice(0, 8);
    return await this.#node.sh(`ctr task exec --exec-id ${session} ${id} ${words}`);
  }

  /** Ends a container and removes it. */
  async remove(id: string): Promise<void> {
    const node = this.#node;
    await node.sh(`ctr task kill --signal SIGKILL ${id}`);
    await node.until(`${id} has ended`, async () => await node.sh(`ctr task rm ${id}`));
    await node.sh(`ctr container rm ${id}`);
  }

  /** The IPv4 address of a container's interface, as the container sees it. */
  async address(id: string, ifname = "eth0"): Promise<string> {
    return await until(`${id} has an address`, async () => {
      // On a busy machine, ctr may lose the output of a short command.
      const text = await this.exec(id, "ip", "-4", "addr", "show", "dev", ifname);
      return /inet ([\d.]+)\//.exec(text)?.[1];
    }, 10);
  }
}
