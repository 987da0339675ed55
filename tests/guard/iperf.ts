import type { Host } from "../integration/host.ts";
import { pause } from "../../lib/base/deadline.ts";
import { until } from "../until.ts";

const at = (namespace: string, ...command: string[]): string[] => [
  "nsenter",
  `--net=/run/netns/${namespace}`,
  ...command,
];

export interface Transfer {
  readonly mbits: number;
  /** CPU seconds of client and server per gigabyte, including the kernel's work. */
  readonly cpu: number;
}

/** An iperf3 server in a container; disposal ends the server. */
export class Iperf implements AsyncDisposable {
  readonly #host: Host;
  readonly #server: Deno.ChildProcess;

  private constructor(host: Host, server: Deno.ChildProcess) {
    this.#host = host;
    this.#server = server;
  }

  static async start(host: Host, namespace: string): Promise<Iperf> {
    const [program = "", ...args] = host.inside(...at(namespace, "iperf3", "-s"));
    const quiet = { stdin: "null", stdout: "null", stderr: "inherit" } as const;
    const server = new Deno.Command(program, { args, ...quiet }).spawn();
    const listens = at(namespace, "sh", "-c", "ss -tln | grep -q :5201");
    await until(`iperf3 listens in ${namespace}`, async () => (await host.run(listens)).code === 0);
    return new Iperf(host, server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.kill("SIGKILL");
    await this.#server.status;
  }

  /** One TCP connection from a container to the server. */
  async from(namespace: string, address: string, seconds: number): Promise<Transfer> {
    const client = at(namespace, "iperf3", "-c", address, "-t", String(seconds), "-J");
    let { code, stdout, stderr } = await this.#host.run(client);
    // A server needs a moment to finish the previous connection.
    for (let again = 0; again < 10 && stdout.includes("the server is busy"); again++) {
      await pause(200);
      ({ code, stdout, stderr } = await this.#host.run(client));
    }
    if (code !== 0) throw new Error(`iperf3 to ${address}: ${stdout} ${stderr}`);
    const { sum_received: { bytes, bits_per_second }, cpu_utilization_percent: cpu } =
      JSON.parse(stdout).end;
    const busy = (cpu.host_total + cpu.remote_total) / 100 * seconds;
    return { mbits: Math.round(bits_per_second / 1e6), cpu: busy * 1e9 / bytes };
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = 0, high = 0] = [sorted[middle - 1 + sorted.length % 2], sorted[middle]];
  return (low + high) / 2;
}
