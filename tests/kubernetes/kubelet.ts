import { fromFileUrl } from "@std/path/posix";
import type { Finished, Json } from "../integration/host.ts";
import { run } from "../integration/host.ts";
import { launchScript, limits } from "./container.ts";
import type { RootNode } from "./root_node.ts";

const SERVER = fromFileUrl(new URL("api_server.ts", import.meta.url));
const PORT = "6443";
/** Time limit in seconds for the end of a pod that has nothing to wait for. */
const AT_ONCE = 45;

/**
 * Sends SIGTERM to the container with the process file `$it`, once, as a kubelet does. The container is the first process
 * of its namespace, so the kernel drops the signal until the container handles it; a later call then sends it.
 */
const TERM_ONCE = `
pid=$(cat $it 2>/dev/null) || continue
[ "$(cat $it.asked 2>/dev/null)" != "$pid" ] || continue
handled=$(sed -n 's/^SigCgt:.*\\(........\\)$/\\1/p' /proc/$pid/status 2>/dev/null) || continue
[ $((0x\${handled:-0} & 0x4000)) -ne 0 ] || continue
echo $pid >$it.asked
kill -TERM $pid || :`;

/** A pod of the DaemonSet on a node. */
export interface PodRun {
  readonly uid: string;
  readonly name: string;
  /** The DaemonSet at the creation of the pod, and the ConfigMaps by name. */
  readonly spec: Json;
  readonly documents: readonly Json[];
  isEnding: boolean;
  /** Ends when every container has ended. */
  readonly done: Promise<void>;
}

/** How a DaemonSet is deleted. `everything` is `kubectl delete -f`, which also deletes the account and its role. */
export type Deletion = "foreground" | "background" | "everything";

/** The API server of a node and its kubelet, as far as they concern the DaemonSet's pods. */
export class Kubelet {
  readonly node: RootNode;
  /** The address of the service "kubernetes". */
  readonly address: string;
  #server: Deno.ChildProcess | undefined;
  #objects: Json[] = [];
  #rules: Json[] = [];
  #pods: PodRun[] = [];
  #uid = 0;
  #saved = 0;

  private constructor(node: RootNode, address: string) {
    this.node = node;
    this.address = address;
  }

  static async start(node: RootNode, address = "127.0.0.1"): Promise<Kubelet> {
    const kubelet = new Kubelet(node, address);
    await run([
      "sh",
      "-ec",
      `
cd "$0" && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=kubernetes \
  -addext "subjectAltName=IP:$1" -keyout tls.key -out tls.crt 2>/dev/null && cp tls.crt ca.crt
echo kube-system >namespace`,
      `${node.folder}/api`,
      address,
    ]);
    await kubelet.rotateToken();
    await kubelet.#save();
    await kubelet.serve();
    return kubelet;
  }

  get pods(): readonly PodRun[] {
    return this.#pods;
  }

  get api(): string {
    return `${this.node.folder}/api`;
  }

  /** Starts the API server in the node's network namespace; needed again after a reboot. */
  async serve(): Promise<void> {
    if (this.address !== "127.0.0.1") {
      const length = this.address.includes(":") ? 128 : 32;
      await this.node.sh(
        `ip addr add ${this.address}/${length} dev lo ${length === 128 ? "nodad" : ""}`,
      );
    }
    this.#server = new Deno.Command("nsenter", {
      args: ["-t", `${this.node.pid}`, "-n", Deno.execPath(), "run", "-A", "--no-config", SERVER]
        .concat(this.api, this.address, PORT),
      stdin: "null",
    }).spawn();
    const host = this.address.includes(":") ? `[${this.address}]` : this.address;
    await this.node.until("the API answers", async () => {
      const curl = ["curl", "-sk", `https://${host}:${PORT}/`];
      const { code } = await run(["nsenter", "-t", `${this.node.pid}`, "-n", ...curl]);
      return code === 0 ? true : undefined;
    }, 90);
  }

  async unreachable(): Promise<void> {
    this.#server?.kill("SIGKILL");
    await this.#server?.status;
    this.#server = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pod of this.#pods) pod.isEnding = true;
    await this.node.powerOff();
    await Promise.all(this.#pods.map(({ done }) => done));
    await this.unreachable();
  }

  async rotateToken(): Promise<void> {
    const token = crypto.randomUUID();
    await Deno.writeTextFile(`${this.api}/token`, token);
    await Deno.writeTextFile(`${this.api}/token.server`, token);
  }

  /** A fault of each answer until `undefined`: slow MS, truncated, status CODE. */
  async fault(kind: string | undefined): Promise<void> {
    if (kind !== undefined) await Deno.writeTextFile(`${this.api}/fault`, kind);
    else await Deno.remove(`${this.api}/fault`).catch(() => {});
  }

  /** The ranges that the controller assigned to the node. */
  async ranges(...podCIDRs: string[]): Promise<void> {
    const spec = podCIDRs.length === 0 ? {} : { podCIDR: podCIDRs[0], podCIDRs };
    await this.#put({ kind: "Node", metadata: { name: this.node.name }, spec });
  }

  /** `kubectl apply`: the DaemonSet keeps its identity, and its pod, if any, is replaced. */
  async apply(documents: readonly Json[]): Promise<PodRun> {
    this.#rules = documents.filter(({ kind }) => kind === "ClusterRole" || kind === "Role")
      .flatMap(({ kind, metadata, rules }) =>
        rules.map((rule: Json) =>
          kind === "Role" ? { ...rule, namespace: metadata.namespace } : rule
        )
      );
    const wanted = documents.find(({ kind }) => kind === "DaemonSet");
    const there = this.#find("DaemonSet", wanted.metadata.name);
    const uid = there?.metadata.deletionTimestamp === undefined ? there?.metadata.uid : undefined;
    await this.#put({
      ...wanted,
      metadata: { ...wanted.metadata, uid: uid ?? `daemonset-${++this.#uid}` },
    });
    await this.replace(...this.#pods.filter(({ isEnding }) => !isEnding));
    return this.start(documents);
  }

  /** A new pod of the DaemonSet, without waiting for the end of another. */
  async start(documents: readonly Json[]): Promise<PodRun> {
    const wanted = documents.find(({ kind }) => kind === "DaemonSet");
    const daemonSet = this.#find("DaemonSet", wanted.metadata.name);
    const uid = `pod-${++this.#uid}`;
    const name = `${daemonSet.metadata.name}-${this.#uid}`;
    const namespace = daemonSet.metadata.namespace;
    const owner = {
      ...{ apiVersion: "apps/v1", kind: "DaemonSet", controller: true },
      ...{ name: daemonSet.metadata.name, uid: daemonSet.metadata.uid },
    };
    await this.#put({ kind: "Pod", metadata: { name, namespace, uid, ownerReferences: [owner] } });
    const pod: PodRun = {
      ...{ uid, name, documents, isEnding: false },
      spec: wanted.spec.template.spec,
      // A command that the end of the node interrupts is not a failure.
      done: Promise.resolve().then(() => this.#run(pod)).catch((error) => {
        if (this.node.isOn) throw error;
      }),
    };
    this.#pods.push(pod);
    return pod;
  }

  /** Ends pods as a kubelet does, and waits. A pod whose DaemonSet stays has to end at once. */
  async replace(...pods: PodRun[]): Promise<void> {
    const began = Date.now();
    await Promise.all(pods.map((pod) => this.end(pod, AT_ONCE)));
    if (Date.now() - began >= AT_ONCE * 1000) throw new Error("a replaced pod did not end");
  }

  /** Ends a pod, and kills it after that many seconds. */
  async end(pod: PodRun, grace: number): Promise<void> {
    pod.isEnding = true;
    const ask = () =>
      this.node.quietly(`for it in /run/pods/${pod.uid}/*.pid; do ${TERM_ONCE}; done`);
    await ask();
    const asker = setInterval(() => void ask(), 500);
    const killer = setTimeout(() => void this.kill(pod), grace * 1000);
    await pod.done;
    clearInterval(asker);
    clearTimeout(killer);
    this.#objects = this.#objects.filter((it) => it.metadata.uid !== pod.uid);
    await this.#save();
  }

  /** Kills the pod's containers at once, wherever they are; a kubelet restarts them unless the pod is ending. */
  async kill(pod: PodRun): Promise<void> {
    await this.node.quietly(
      `for it in /run/pods/${pod.uid}/*.pid; do kill -KILL $(cat $it) || :; done`,
    );
  }

  /** Deletes the DaemonSet; resolves when its pods have ended, or are killed after this many seconds. */
  async delete(how: Deletion, patience = 60, name = "atomicni"): Promise<void> {
    const daemonSet = this.#find("DaemonSet", name);
    if (how === "foreground") daemonSet.metadata.deletionTimestamp = "2026-01-01T00:00:00Z";
    else this.#objects = this.#objects.filter((it) => it !== daemonSet);
    if (how === "everything") {
      this.#rules = [];
      await Deno.writeTextFile(`${this.api}/token.server`, crypto.randomUUID());
    }
    await this.#save();
    const pods = this.#pods.filter(({ isEnding }) => !isEnding);
    await Promise.all(pods.map((pod) => this.end(pod, patience)));
    this.#objects = this.#objects.filter((it) => it !== daemonSet);
    await this.#save();
  }

  /** After `everything`: the next apply creates the account again. */
  async account(): Promise<void> {
    await this.rotateToken();
  }

  /** The whole output of the pod's containers. */
  async said(pod: PodRun, container = "*"): Promise<string> {
    return await this.node.quietly(`cat /run/pods/${pod.uid}/${container}.log`);
  }

  /** Runs a command in a pod's container, as `kubectl exec` and probes do. */
  async exec(pod: PodRun, name: string, command: readonly string[]): Promise<Finished> {
    const container = pod.spec.containers.find((it: Json) => it.name === name);
    const pid = await this.node.quietly(`cat /run/pods/${pod.uid}/${name}.pid`);
    if (pid === "") return { code: 126, stdout: "", stderr: "no such container runs" };
    const enter = ["nsenter", "-t", pid, "-m", "-p", "-r", "--"];
    const env = Object.entries(this.#env(pod, container)).map(([key, value]) => `${key}=${value}`);
    return await this.node.run([...enter, ...limits(container), "env", "-i", ...env, ...command]);
  }

  /** The result of the readiness probe; a pod without a probe is ready as long as it runs. */
  async isReady(pod: PodRun): Promise<boolean> {
    for (const container of pod.spec.containers) {
      const command = container.readinessProbe?.exec?.command ?? ["true"];
      if ((await this.exec(pod, container.name, command)).code !== 0) return false;
    }
    return true;
  }

  async untilReady(pod: PodRun, seconds = 60): Promise<void> {
    await this.node.until("the pod is ready", async () => {
      if (await this.isReady(pod)) return true;
      throw new Error(await this.said(pod));
    }, seconds);
  }

  /** Init containers one after the other, then all others; each of those is restarted when it ends. */
  async #run(pod: PodRun): Promise<void> {
    for (const container of pod.spec.initContainers ?? []) {
      while (!pod.isEnding && await this.#container(pod, container) !== 0) await pause();
    }
    await Promise.all(pod.spec.containers.map(async (container: Json) => {
      while (!pod.isEnding) {
        await this.#container(pod, container);
        if (!pod.isEnding) await pause();
      }
    }));
  }

  async #container(pod: PodRun, container: Json): Promise<number> {
    if (!this.node.isOn) return 1;
    const script = await launchScript(this.node, pod, container, this.#env(pod, container));
    const unshare = ["unshare", "-mp", "--fork", "--kill-child=KILL", "--propagation", "slave"];
    const child = new Deno.Command("nsenter", {
      args: this.node.inside(...unshare, "sh", "-c", script).slice(1),
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const { code } = await child.status;
    await this.node.quietly(`rm -f /run/pods/${pod.uid}/${container.name}.pid`);
    return code;
  }

  #env(pod: PodRun, container: Json): Record<string, string> {
    const fields: Record<string, string> = {
      "spec.nodeName": this.node.name,
      "metadata.name": pod.name,
      "metadata.namespace": "kube-system",
      "metadata.uid": pod.uid,
    };
    const own = (container.env ?? []).map(({ name, value, valueFrom }: Json) => [
      name,
      value ?? fields[valueFrom.fieldRef.fieldPath],
    ]);
    return {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      KUBERNETES_SERVICE_HOST: this.address,
      KUBERNETES_SERVICE_PORT: PORT,
      ...Object.fromEntries(own),
    };
  }

  #find(kind: string, name: string): Json {
    return this.#objects.find((it) => it.kind === kind && it.metadata.name === name);
  }

  async #put(object: Json): Promise<void> {
    const { kind, metadata } = object;
    this.#objects = this.#objects.filter((it) =>
      it.kind !== kind || it.metadata.name !== metadata.name
    );
    this.#objects.push(object);
    await this.#save();
  }

  async #save(): Promise<void> {
    const text = JSON.stringify({ rules: this.#rules, objects: this.#objects });
    const file = `${this.api}/objects.new${++this.#saved}`;
    await Deno.writeTextFile(file, text);
    await Deno.rename(file, `${this.api}/objects.json`);
  }
}

/** A kubelet waits longer before it restarts a container. */
async function pause(): Promise<void> {
  await new Promise((resume) => setTimeout(resume, 500));
}
