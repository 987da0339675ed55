import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { commandsOf } from "../firsthour/page.ts";
import { Containerd, IMAGE } from "./containerd.ts";
import { Cri } from "./cri.ts";
import { DEPLOY, type Node, nodeTest, REFERENCE_PLUGINS } from "./node.ts";
import { assertNothingLeft } from "./conflist.ts";

const PAGE = "docs/containerd.md";
const LOOK = "Where containerd looks for plugins";

/** A node as Debian's packages and `make install` leave it: each plugin only in its own folder. */
async function packaged(node: Node): Promise<void> {
  await node.sh(`find /opt/cni/bin -type l -delete; rm ${REFERENCE_PLUGINS}/atomicni`);
  await node.write(
    "/etc/cni/net.d/10-atomicni.conflist",
    await Deno.readTextFile(`${DEPLOY}/10-atomicni.conflist`),
  );
  await Containerd.start(node);
}

/** The lines of the page that link the plugins; the first only shows the folders. */
async function followLinks(node: Node): Promise<string> {
  return await node.sh(await commandsOf(PAGE, LOOK));
}

nodeTest(
  "docs/containerd.md: with Debian's configuration CRI finds the plugins by the page's lines",
  async (node) => {
    await packaged(node);
    using cri = await Cri.connect(node, false);
    await node.until("containerd has read the configuration", async () => {
      const { status } = await cri.call("Status", {});
      return JSON.stringify(status).includes("cni plugin not initialized") ? undefined : true;
    });
    await assertRejects(
      () => cri.runPod({ name: "early" }),
      Error,
      `failed to find plugin "atomicni" in path [${REFERENCE_PLUGINS}]`,
    );
    assertMatch(await followLinks(node), /bin_dir = "\/usr\/lib\/cni"/);
    await cri.ready(node);
    const id = await cri.runPod({ name: "web" });
    assertEquals(await cri.addressOf(id), "10.86.0.2");
    for (const { id } of await cri.pods()) await cri.removePod(id);
    await assertNothingLeft(node);
  },
);

nodeTest(
  "docs/containerd.md: ctr task kill takes a container off only with the page's lines",
  async (node) => {
    await packaged(node);
    const run = `ctr run --detach --cni ${IMAGE} web sleep 3600`;
    const kill = ["sh", "-c", "ctr task kill --signal SIGKILL web"];
    await node.sh(run);
    assertMatch(
      (await node.run(kill)).stderr,
      /failed to find plugin "portmap" in path \[\/opt\/cni\/bin\]/,
    );
    assertEquals(
      (await node.hostVeths()).length,
      1,
      "the container is off the network even without the page's lines",
    );
    await node.sh("ctr task rm --force web; ctr container rm web");
    await followLinks(node);
    await node.sh(run.replace(" web ", " second "));
    await node.sh("ctr task kill --signal SIGKILL second");
    assertEquals(Object.keys(await node.leases("podnet")), ["default-web/eth0"]);
  },
);

nodeTest(
  "docs/configure.md: containerd 1.7 refuses version 1.1.0, and selects 1.0.0 if both are offered",
  async (node) => {
    await packaged(node);
    await followLinks(node);
    const list = JSON.parse(await Deno.readTextFile(`${DEPLOY}/10-atomicni.conflist`));
    assertEquals(list.cniVersion, "1.0.0");
    const page = await Deno.readTextFile(new URL("../../docs/configure.md", import.meta.url));
    const block = /^"cniVersion": [^`]*"cniVersions": [^`]*$/m.exec(page)?.[0];
    const write = (more: unknown) =>
      node.write(
        "/etc/cni/net.d/10-atomicni.conflist",
        JSON.stringify({ ...list, ...more as object }),
      );
    const run = (id: string) =>
      node.run(["sh", "-c", `ctr run --detach --cni ${IMAGE} ${id} sleep 3600`]);
    await write({ cniVersion: "1.1.0" });
    assertMatch((await run("refused")).stderr, /unsupported CNI result version "1\.1\.0"/);
    await write(JSON.parse(`{${block}}`));
    assertEquals(await run("taken"), { code: 0, stdout: "", stderr: "" });
  },
);
