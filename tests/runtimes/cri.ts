import type { Json } from "../integration/host.ts";
import { IMAGE } from "./containerd.ts";
import type { Node } from "./node.ts";

// Not literal, so that only runs of these tests need the packages, and a type check does not.
const GRPC = "npm:@grpc/grpc-js@1.14.1";
const LOADER = "npm:@grpc/proto-loader@0.8.0";
/** Of Debian's golang-github-kubernetes-cri-api-dev. */
const GO_SOURCES = "/usr/share/gocode/src";
const PROTO = `${GO_SOURCES}/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto`;
const LIMIT_MS = 60_000;

/** A pod as a kubelet requests it. */
export interface Pod {
  readonly name: string;
  readonly attempt?: number;
  readonly ports?: readonly { readonly host: number; readonly container: number }[];
}

/** A kubelet's side of the Container Runtime Interface. */
export class Cri implements Disposable {
  readonly #client: Json;
  readonly #cgroup: string;

  private constructor(client: Json, cgroup: string) {
    this.#client = client;
    this.#cgroup = cgroup;
  }

  /** Connects to the containerd of a node through its process 1, because the socket is in its own mount namespace. */
  static async connect(node: Node, waits = true): Promise<Cri> {
    const grpc = await import(GRPC);
    const { loadSync } = await import(LOADER);
    const definition = loadSync(PROTO, {
      keepCase: true,
      longs: String,
      enums: String,
      defaults: true,
      includeDirs: [GO_SOURCES],
    });
    const { RuntimeService } = grpc.loadPackageDefinition(definition).runtime.v1;
    const socket = `unix:/proc/${node.pid}/root/run/containerd/containerd.sock`;
    const cri = new Cri(new RuntimeService(socket, grpc.credentials.createInsecure()), node.cgroup);
    if (waits) await cri.ready(node);
    return cri;
  }

  /** Waits until there is a network for pods. */
  async ready(node: Node): Promise<void> {
    await node.until("the network is ready", async () => {
      const { status } = await this.call("Status", {});
      const network = status.conditions.find((it: Json) => it.type === "NetworkReady");
      if (!network.status) throw new Error(network.message);
      return true;
    });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  call(method: string, request: unknown): Promise<Json> {
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + LIMIT_MS;
      this.#client[method](request, { deadline }, (error: unknown, answer: Json) => {
        if (error !== null) reject(error);
        else resolve(answer);
      });
    });
  }

  /** Starts a pod's sandbox; returns its ID. */
  async runPod(pod: Pod): Promise<string> {
    const { pod_sandbox_id } = await this.call("RunPodSandbox", { config: this.#sandbox(pod) });
    return pod_sandbox_id;
  }

  /** Starts a container in a pod's sandbox; returns its ID. */
  async runContainer(id: string, pod: Pod, ...command: string[]): Promise<string> {
    const { container_id } = await this.call("CreateContainer", {
      pod_sandbox_id: id,
      config: { metadata: { name: "main" }, image: { image: IMAGE }, command, linux: {} },
      sandbox_config: this.#sandbox(pod),
    });
    await this.call("StartContainer", { container_id });
    return container_id;
  }

  /** The address in a sandbox's status. */
  async addressOf(id: string): Promise<string> {
    const { status } = await this.call("PodSandboxStatus", { pod_sandbox_id: id });
    return status.network.ip;
  }

  /** All addresses, the first one first. */
  async addressesOf(id: string): Promise<string[]> {
    const { status: { network } } = await this.call("PodSandboxStatus", { pod_sandbox_id: id });
    return [network.ip, ...network.additional_ips.map(({ ip }: Json) => ip)];
  }

  async exec(containerId: string, ...cmd: string[]): Promise<string> {
    const { stdout, stderr, exit_code } = await this.call("ExecSync", {
      container_id: containerId,
      cmd,
      timeout: 10,
    });
    const text = new TextDecoder().decode(stdout);
    if (exit_code !== 0) throw new Error(`${cmd.join(" ")}: ${new TextDecoder().decode(stderr)}`);
    return text;
  }

  /** Every existing sandbox, ready or not. */
  async pods(): Promise<{ id: string; name: string; ready: boolean }[]> {
    const { items } = await this.call("ListPodSandbox", {});
    return items.map(({ id, metadata, state }: Json) => ({
      id,
      name: metadata.name,
      ready: state === "SANDBOX_READY",
    }));
  }

  async removePod(id: string): Promise<void> {
    await this.call("StopPodSandbox", { pod_sandbox_id: id });
    await this.call("RemovePodSandbox", { pod_sandbox_id: id });
  }

  #sandbox({ name, attempt = 0, ports = [] }: Pod): Json {
    return {
      metadata: { name, uid: `uid-${name}`, namespace: "shop", attempt },
      hostname: name,
      log_directory: `/run/log/pods/${name}`,
      port_mappings: ports.map(({ host, container }) => ({
        protocol: "TCP",
        host_port: host,
        container_port: container,
      })),
      linux: { cgroup_parent: this.#cgroup },
    };
  }
}

/** Does `work` for each item, at most `width` of them in parallel. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = [...items];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
