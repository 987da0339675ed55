import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import type { Json } from "../integration/host.ts";
import { Containerd } from "./containerd.ts";
import { Cri } from "./cri.ts";
import { ANOTHER_BUILD, BINARY, DEPLOY, type Node, nodeTest } from "./node.ts";

// Not literal, so that only who runs these tests needs the packages, and not who checks types.
const YAML = "npm:yaml@2.9.1";
const MODELS = "npm:kubernetes-models@5.1.0";

const INSTALLER = fromFileUrl(new URL("../../tools/install", import.meta.url));
const API = "/run/api";
const CONFLIST = "/etc/cni/net.d/10-atomicni.conflist";
/** What the node has for its next boot. */
const HOST_FILES = [
  "/etc/modules-load.d/atomicni.conf",
  "/etc/sysctl.d/90-atomicni.conf",
  "/etc/tmpfiles.d/atomicni.conf",
];
/** The state folder's mode, and the tables of `atomicni host-rules`. */
const HOST_SIDE = "700\ntable inet atomicni_podnet\ntable bridge atomicni_podnet\n";
const DAEMONSET = "/apis/apps/v1/namespaces/kube-system/daemonsets/atomicni";

async function manifests(): Promise<Json[]> {
  const { parseAllDocuments } = await import(YAML);
  const text = await Deno.readTextFile(`${DEPLOY}/kubernetes.yaml`);
  return parseAllDocuments(text, { strict: true }).map((document: Json) => {
    assertEquals(document.errors, []);
    return document.toJS();
  });
}

async function manifest(kind: string): Promise<Json> {
  const found = (await manifests()).find((it) => it.kind === kind);
  assert(found !== undefined, `no ${kind} in kubernetes.yaml`);
  return found;
}

Deno.test("kubernetes.yaml: each document is of its kind's schema", async (t) => {
  const documents = await manifests();
  assertEquals(documents.map(({ kind }) => kind), [
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "DaemonSet",
  ]);
  for (const document of documents) {
    await t.step(document.kind, async () => {
      const { [document.kind]: Model } = await import(
        `${MODELS}/${document.apiVersion}/${document.kind}`
      );
      await new Model(document).validate();
    });
  }
});

Deno.test("kubernetes.yaml: what the script uses is mounted, and may be read", async () => {
  const { spec } = (await manifest("DaemonSet")).spec.template;
  const mounts: Json[] = [...spec.initContainers, ...spec.containers].flatMap((it) =>
    it.volumeMounts
  );
  assertEquals(
    [...new Set(mounts.map(({ name }) => name))].sort(),
    spec.volumes.map(({ name }: Json) => name).sort(),
  );
  const written = Object.values((await manifest("ConfigMap")).data).join("\n");
  for (const [, folder = ""] of written.matchAll(/\$host\/(\w[\w/.-]*)/g)) {
    const isMounted = mounts.some((it) => `/host/${folder}`.startsWith(it.mountPath));
    assert(isMounted, `no mount for /host/${folder}`);
  }
  for (const { name, mountPath } of mounts.filter((it) => it.mountPath.startsWith("/host"))) {
    const { hostPath } = spec.volumes.find((it: Json) => it.name === name);
    assertEquals(mountPath, `/host${hostPath.path}`);
  }
  assertEquals([spec.hostNetwork, spec.tolerations], [true, [{ operator: "Exists" }]]);
  const rules: Json[] = (await manifest("ClusterRole")).rules;
  assertEquals(rules.map(({ resources, verbs }) => [resources, verbs]), [
    [["nodes"], ["get"]],
    [["daemonsets"], ["get"]],
  ]);
});

Deno.test("kubernetes.yaml: the host's files are those of deploy/", async () => {
  const { data } = await manifest("ConfigMap");
  for (const kind of ["sysctl", "tmpfiles", "modules"]) {
    const file = await Deno.readTextFile(`${DEPLOY}/atomicni.${kind}`);
    const settings = file.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    assertEquals(data[`atomicni.${kind}`].trim().split("\n"), settings, kind);
  }
});

/** The DaemonSet's pod on a node: its script, with the node's own folders, and an API server. */
class InstallPod {
  readonly #node: Node;
  #pid = 0;

  private constructor(node: Node) {
    this.#node = node;
  }

  static async prepare(node: Node): Promise<InstallPod> {
    const { data } = await manifest("ConfigMap");
    for (const [name, text] of Object.entries<string>(data)) {
      await node.write(`/config/${name}`, text);
    }
    await node.sh("mkdir -p /etc/sysctl.d /etc/tmpfiles.d /etc/modules-load.d");
    await node.sh(
      `mkdir -p ${API} && echo a-token >${API}/token && cp ${API}/token ${API}/token.server`,
    );
    await node.sh(`
cd ${API} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=kubernetes \
  -addext subjectAltName=IP:127.0.0.1 -keyout tls.key -out tls.crt 2>/dev/null && cp tls.crt ca.crt`);
    const server = fromFileUrl(new URL("apiserver.ts", import.meta.url));
    await node.daemon("api", Deno.execPath(), "run", "-A", "--no-config", server, API, "6443");
    await node.until(
      "the API answers",
      async () => await node.sh(`curl -sk https://127.0.0.1:6443/`),
    );
    return new InstallPod(node);
  }

  async answer(path: string, document: Json): Promise<void> {
    await this.#node.write(`${API}${path}`, JSON.stringify(document));
  }

  async start(program: string, patience = 2): Promise<void> {
    this.#pid = await this.#node.daemon(
      "install",
      "env",
      "HOST=",
      `PATIENCE=${patience}`,
      `PROGRAM=${program}`,
      `INSTALLER=${INSTALLER}`,
      `ACCOUNT=${API}`,
      "NODE_NAME=node-a",
      "KUBERNETES_SERVICE_HOST=127.0.0.1",
      "KUBERNETES_SERVICE_PORT=6443",
      "sh",
      "/config/install.sh",
    );
  }

  /** Ends it as a kubelet does; what it said last. */
  async end(): Promise<string> {
    const pid = this.#pid;
    await this.#node.sh(`kill -TERM ${pid}; while [ -d /proc/${pid} ]; do sleep 0.1; done`);
    return (await this.said()).at(-1) ?? "";
  }

  async said(): Promise<string[]> {
    return (await this.#node.read("/run/log/install.log")).trim().split("\n");
  }

  async installs(program: string, patience?: number): Promise<void> {
    const before = await this.#node.run(["stat", "-c", "%i %Z", CONFLIST]);
    await this.start(program, patience);
    await this.#node.until("the conflist is written", async () => {
      const now = await this.#node.run(["stat", "-c", "%i %Z", CONFLIST]);
      return now.code === 0 && now.stdout !== before.stdout ? true : undefined;
    });
  }
}

nodeTest(
  "kubernetes.yaml: installs with the node's own CIDR, upgrades, stays, leaves",
  async (node) => {
    await node.sh(`${ANOTHER_BUILD}; rm /opt/cni/bin/atomicni`);
    const pod = await InstallPod.prepare(node);
    await pod.answer("/api/v1/nodes/node-a", {
      spec: { podCIDR: "10.244.3.0/24", podCIDRs: ["10.244.3.0/24", "fd00:10:244:3::/64"] },
    });
    await pod.answer(DAEMONSET, { metadata: { name: "atomicni" } });
    await node.sh("chmod 755 /var/lib/atomicni; HOST= sh /config/host.sh");
    await pod.installs("/run/one");
    const [plugin] = JSON.parse(await node.read(CONFLIST)).plugins;
    assertEquals(plugin.ipam, {
      type: "host-local",
      ranges: [[{ subnet: "10.244.3.0/24" }], [{ subnet: "fd00:10:244:3::/64" }]],
    });
    assertEquals(await node.sh("stat -c %a /var/lib/atomicni; nft list tables"), HOST_SIDE);
    assertEquals(await node.sh(`ls ${HOST_FILES.join(" ")}`), HOST_FILES.join("\n") + "\n");
    await node.sh(`cmp /opt/cni/bin/atomicni "${BINARY}"`);

    await Containerd.start(node);
    using cri = await Cri.connect(node);
    const before = await cri.runPod({ name: "before" });
    assertEquals(await cri.addressOf(before), "10.244.3.2");
    assertEquals(await pod.end(), "the DaemonSet stays: nothing removed");
    await pod.installs("/run/another");
    await node.sh("cmp /opt/cni/bin/atomicni /run/another");
    await cri.ready(node);
    const after = await cri.runPod({ name: "after" });

    await node.sh(`rm ${API}${DAEMONSET}`);
    assertStringIncludes(await pod.end(), "kept for containers that are left");
    await pod.installs("/run/another", 600);
    const ended = pod.end();
    await node.until(
      "it waits",
      async () => (await pod.said()).at(-1)?.startsWith("waiting") || undefined,
    );
    for (const id of [before, after]) {
      await cri.removePod(id);
    }
    assertEquals(
      await ended,
      "removed: /etc/cni/net.d/10-atomicni.conflist and /opt/cni/bin/atomicni",
    );
    assertEquals(await node.hostVeths(), []);
    assertEquals(
      await node.sh(
        "ls -A /etc/cni/net.d; ls -A /opt/cni/bin | grep atomicni || :; nft list tables",
      ),
      "",
    );
    assertEquals((await node.run(["ls", ...HOST_FILES])).stdout, "");
  },
);

nodeTest("kubernetes.yaml: it leaves for good only when its DaemonSet is deleted", async (node) => {
  const pod = await InstallPod.prepare(node);
  await pod.answer("/api/v1/nodes/node-a", { spec: { podCIDR: "10.244.3.0/24" } });
  const doomed = JSON.stringify({ metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } });
  const rows: [why: string, change: string, stays: boolean][] = [
    ["the DaemonSet is there", "", true],
    ["the API server is broken", `rm ${API}/token.server`, true],
    ["it is being deleted", `echo '${doomed}' >${API}${DAEMONSET}`, false],
    ["its account was deleted with it", `echo another >${API}/token.server`, false],
    ["it is gone", `rm ${API}${DAEMONSET}`, false],
  ];
  for (const [why, change, stays] of rows) {
    await node.sh(`echo a-token >${API}/token; echo a-token >${API}/token.server`);
    await pod.answer(DAEMONSET, { metadata: { name: "atomicni" } });
    await pod.installs(BINARY);
    await node.sh(change);
    const said = await pod.end();
    assertEquals(said.startsWith("removed: "), !stays, `${why}: ${said}`);
    const files = await node.sh("ls -A /etc/cni/net.d; ls -A /opt/cni/bin | grep atomicni || :");
    const left = files.replaceAll(/-[0-9a-f]{16}$/gm, "");
    assertEquals(left, stays ? "10-atomicni.conflist\n.atomicni\natomicni\n" : "", why);
  }
});

nodeTest(
  "kubernetes.yaml: without a podCIDR nothing is written, and it says so",
  async (node) => {
    await node.sh("rm /opt/cni/bin/atomicni");
    const pod = await InstallPod.prepare(node);
    await pod.answer("/api/v1/nodes/node-a", { spec: {} });
    await pod.start(BINARY);
    await node.until("it gives up", async () => (await pod.said()).join() !== "" || undefined);
    assertStringIncludes((await pod.said()).join(), "node-a has no podCIDR");
    assertEquals(
      await node.sh("ls -A /etc/cni/net.d; ls -A /opt/cni/bin | grep atomicni || :"),
      "",
    );
  },
);
