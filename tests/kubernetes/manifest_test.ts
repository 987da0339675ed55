import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Json, run } from "../integration/host.ts";
import { CHECKOUT, instructions, manifest } from "./delivery.ts";

/** Models with the JSON schemas of a pinned version of the Kubernetes API, from npm. */
const MODELS = "npm:kubernetes-models@5.1.0";
const FOLDERS = ["deploy/kubernetes", "deploy/canary"];

const only = (documents: readonly Json[], kind: string): Json => {
  const found = documents.filter((it) => it.kind === kind);
  assertEquals(found.length, 1, kind);
  return found[0];
};

for (const folder of FOLDERS) {
  Deno.test(`${folder}: each document matches the schema of its kind`, async () => {
    const documents = await manifest(folder);
    assertEquals(documents.length, 7);
    for (const document of documents) {
      const { [document.kind]: Model } = await import(
        `${MODELS}/${document.apiVersion}/${document.kind}`
      );
      await new Model(document).validate();
      assertEquals(
        document.metadata.namespace,
        /^Cluster/.test(document.kind) ? undefined : "kube-system",
      );
    }
  });
}

Deno.test("the schema refuses a wrong type and a missing field", async () => {
  const daemonSet = only(await manifest(), "DaemonSet");
  const { DaemonSet } = await import(`${MODELS}/apps/v1/DaemonSet`);
  const wrong: readonly ((it: Json) => void)[] = [
    (it) => it.spec.minReadySeconds = "soon",
    (it) => delete it.spec.selector,
    (it) => it.spec.template.spec.containers[0].env = [{ value: "no name" }],
    (it) => it.spec.template.spec.securityContext.seLinuxOptions = "spc_t",
    (it) => it.spec.template.spec.securityContext.seLinuxOptions = { type: 1 },
  ];
  for (const change of wrong) {
    const copy = structuredClone(daemonSet);
    change(copy);
    let refused = false;
    try {
      await new DaemonSet(copy).validate();
    } catch {
      refused = true;
    }
    assert(refused, `${change}`);
  }
});

Deno.test("all containers request the SELinux type of the pod", async () => {
  const { spec } = only(await manifest(), "DaemonSet").spec.template;
  assertEquals(spec.securityContext.seLinuxOptions, { type: "spc_t" });
  const own = [...spec.containers, ...spec.initContainers].map(({ securityContext }: Json) =>
    securityContext.seLinuxOptions
  );
  assertEquals(own, [undefined, undefined, undefined]);
});

Deno.test("settings are immutable, and their name follows their content", async () => {
  const map = only(await manifest(), "ConfigMap");
  assertEquals([map.immutable, Object.keys(map.data).sort()], [true, ["conflist", "direct"]]);
  assertMatch(map.metadata.name, /^atomicni-[0-9a-z]{10}$/);
  const { spec } = only(await manifest(), "DaemonSet").spec.template;
  const config = spec.volumes.find((it: Json) => it.name === "config");
  assertEquals(config.configMap.name, map.metadata.name);
  const copy = await Deno.makeTempDir();
  const files = await run(["cp", "-r", `${CHECKOUT}/deploy/kubernetes`, `${copy}/kubernetes`]);
  assertEquals(files.code, 0);
  await Deno.writeTextFile(`${copy}/kubernetes/direct`, "none\n");
  const { stdout } = await run(["kubectl", "kustomize", `${copy}/kubernetes`]);
  await Deno.remove(copy, { recursive: true });
  assertMatch(stdout, /name: atomicni-[0-9a-z]{10}/);
  assert(!stdout.includes(map.metadata.name), "the name is the same");
});

Deno.test("every volume is mounted, at the node's own path below /host", async () => {
  const { spec } = only(await manifest(), "DaemonSet").spec.template;
  const mounts: Json[] = [...spec.initContainers, ...spec.containers].flatMap((it) =>
    it.volumeMounts
  );
  const names = (list: Json[]) => [...new Set(list.map(({ name }) => name))].sort();
  assertEquals(names(mounts), names(spec.volumes));
  const source = (name: string) => spec.volumes.find((it: Json) => it.name === name).hostPath?.path;
  for (const { name, mountPath } of mounts.filter((it) => it.mountPath.startsWith("/host"))) {
    assertEquals(mountPath, `/host${source(name)}`.replace(/\/$/, ""));
  }
  const writable = mounts.filter(({ readOnly, mountPath }) =>
    readOnly !== true && mountPath !== "/host"
  );
  const env = Object.fromEntries(
    spec.containers[0].env.map(({ name, value }: Json) => [name, value]),
  );
  const mounted = writable.map(({ mountPath }) => mountPath);
  for (const path of [env.BIN, env.CONF, "/var/lib/atomicni", "/run/atomicni", "/etc/atomicni"]) {
    assert(mounted.includes(`/host${path}`), `${path} can't be written`);
  }
});

Deno.test("canary: each node has one DaemonSet's pod, and both read their own settings", async () => {
  const expression = async (folder: string) => {
    const daemonSet = only(await manifest(folder), "DaemonSet");
    const { nodeAffinity } = daemonSet.spec.template.spec.affinity;
    const { nodeSelectorTerms: [{ matchExpressions: [it] }] } =
      nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution;
    return [daemonSet.metadata.name, it.key, it.operator];
  };
  const key = "atomicni.example.org/canary";
  assertEquals(await expression("deploy/kubernetes"), ["atomicni", key, "DoesNotExist"]);
  assertEquals(await expression("deploy/canary"), ["atomicni-canary", key, "Exists"]);
  const selector = only(await manifest("deploy/canary"), "DaemonSet").spec.selector.matchLabels;
  assertEquals(selector["atomicni.example.org/track"], "canary");
});

Deno.test("the image names its base by digest, and starts a script that it contains", async () => {
  const lines = await instructions();
  assertEquals(lines.map((line) => line.split(" ")[0]), [
    ...["ARG", "FROM", "ARG", "RUN", "COPY", "ENTRYPOINT"],
  ]);
  assertEquals(lines.slice(0, 2), ["ARG BASE", "FROM ${BASE}"]);
  const text = await Deno.readTextFile(`${CHECKOUT}/deploy/Containerfile`);
  assertMatch(text, /--build-arg BASE=docker.io\/library\/debian@sha256:/);
  const [shell, script, word] = JSON.parse(lines.at(-1)?.slice("ENTRYPOINT ".length) ?? "[]");
  const { spec } = only(await manifest(), "DaemonSet").spec.template;
  assertEquals(spec.containers[0].command, [shell, script, word]);
  const images = [...spec.containers, ...spec.initContainers].map(({ image }: Json) => image);
  assertEquals(new Set(images).size, 1);
});

Deno.test("the image's scripts pass shellcheck", async () => {
  const scripts = [...Deno.readDirSync(`${CHECKOUT}/deploy/kubernetes`)].map(({ name }) => name)
    .filter((name) => name.endsWith(".sh")).map((name) => `${CHECKOUT}/deploy/kubernetes/${name}`);
  assert(scripts.length > 4);
  const { code, stdout, stderr } = await run([
    "shellcheck",
    "--severity=warning",
    "-s",
    "sh",
    ...scripts,
  ]);
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
});

Deno.test("the init container loads br_netfilter if it is missing, and reports a failure", async () => {
  const folder = await Deno.makeTempDir();
  const bridge = `${folder}/host/proc/sys/net/bridge`;
  const script = `${CHECKOUT}/deploy/kubernetes/node.sh`;
  const load = async (modprobe: string, needed: string) => {
    await Deno.remove(bridge, { recursive: true }).catch(() => {});
    await Deno.mkdir(bridge, { recursive: true });
    await Deno.writeTextFile(`${folder}/modprobe`, `#!/bin/sh\n${modprobe}\n`, { mode: 0o755 });
    const env = { PATH: `${folder}:/usr/bin:/bin`, HOST: `${folder}/host`, BR_NETFILTER: needed };
    return await run(["sh", script, "modules"], "", env);
  };
  const works = `[ "$*" = br_netfilter ] && echo 1 >${bridge}/bridge-nf-call-iptables`;
  assertEquals((await load(works, "needed")).code, 0);
  const { code, stderr } = await load("exit 1", "needed");
  assertEquals(code, 1);
  assertMatch(stderr, /^Cannot load the module br_netfilter: /);
  assertEquals((await load("exit 1", "unneeded")).code, 0);
  await Deno.remove(folder, { recursive: true });
});
