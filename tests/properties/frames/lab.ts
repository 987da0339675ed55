import { fromFileUrl } from "@std/path/posix";
import type { Frame } from "../../guard/frames.ts";
import type { Host } from "../../integration/host.ts";

const SCRIPT = fromFileUrl(new URL("lab.py", import.meta.url));

/** A datagram between two places. `from` is the name of a namespace, or `""` for the host. */
export interface Flow {
  readonly from: string;
  readonly to: string;
  readonly mark: string;
}

/**
 * Marks by place and layer: `link` on the place's interface (on the host: on the bridge), `ip` after the rules
 * of the host.
 */
export type Seen = Readonly<
  Record<string, Partial<Record<Layer, Readonly<Record<string, number>>>>>
>;
export type Layer = "link" | "ip";

/** A process that sends and counts frames in all namespaces of a private host. */
export class Lab implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #rest = "";

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#writer = child.stdin.getWriter();
    this.#reader = child.stdout.getReader();
  }

  static async start(host: Host): Promise<Lab> {
    const [program = "", ...args] = host.inside("/usr/bin/python3", SCRIPT);
    const options = { args, stdin: "piped", stdout: "piped", stderr: "inherit" } as const;
    const lab = new Lab(new Deno.Command(program, options).spawn());
    const first = await lab.#line();
    if (first !== "ready") throw new Error(`the lab does not start: ${first}`);
    return lab;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#reader.cancel();
    await this.#child.status;
  }

  /** Counts the frames that arrive at these places from now on. */
  async open(places: readonly string[], bridge: string): Promise<void> {
    await this.#ask({ open: places, bridge });
  }

  /** The attacker sends all frames, `times` times. */
  async burst(at: string, ifname: string, frames: readonly Frame[], times: number): Promise<void> {
    await this.#ask({ burst: frames, at, ifname, times });
  }

  /**
   * The attacker sends all frames as fast as it can on each existing interface until `stop`. Returns whether any
   * was sent.
   */
  async shoot(at: string, ifnames: readonly string[], frames: readonly Frame[]): Promise<boolean> {
    return await this.#ask({ shoot: frames, at, ifnames }) as boolean;
  }

  /** The number of frames sent. */
  async stop(): Promise<number> {
    return await this.#ask({ stop: true }) as number;
  }

  async talk(flows: readonly Flow[], times: number): Promise<number> {
    return await this.#ask({ talk: flows, times }) as number;
  }

  async seen(): Promise<Seen> {
    return await this.#ask({ seen: true }) as Seen;
  }

  async #ask(request: unknown): Promise<unknown> {
    await this.#writer.write(new TextEncoder().encode(`${JSON.stringify(request)}\n`));
    return JSON.parse(await this.#line());
  }

  async #line(): Promise<string> {
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`the lab ended: ${this.#rest}`);
      this.#rest += this.#decoder.decode(value, { stream: true });
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }
}
