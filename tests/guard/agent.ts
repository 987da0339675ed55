import { fromFileUrl } from "@std/path/posix";
import type { Host } from "../integration/host.ts";
import type { Frame } from "./frames.ts";
import { latest } from "../until.ts";

/** How long a test waits for frames, because a busy machine delivers late. In seconds. */
export const PATIENCE_S = 3;

const SCRIPT = fromFileUrl(new URL("frames.py", import.meta.url));
/** CAP_NET_RAW alone; root in a container of Docker or containerd has it among others. */
const NET_RAW_ALONE = ["setpriv", "--bounding-set", "-all,+net_raw", "--inh-caps", "-all,+net_raw"];

/** Counts of frames with one mark that a place received: `own` are addressed to it, `others` are not. */
export interface Seen {
  readonly own: number;
  readonly others: number;
}

/** A process in one namespace that sends frames and counts arriving frames; disposal ends the process. */
export class Agent implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest = "";
  #last: Promise<unknown> = Promise.resolve();

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#writer = child.stdin.getWriter();
    this.#reader = child.stdout.getReader();
  }

  /** `namespace` is a name below /run/netns, or `""` for the host. */
  static async start(
    host: Host,
    namespace: string,
    ifname: string,
    mode: "listen" | "send" | "early" = "listen",
  ): Promise<Agent> {
    const enter = namespace === "" ? [] : ["nsenter", `--net=/run/netns/${namespace}`];
    const command = [...NET_RAW_ALONE, "/usr/bin/python3", SCRIPT, ifname];
    const [program = "", ...args] = host.inside(
      ...enter,
      ...command,
      mode,
    );
    const agent = new Agent(
      new Deno.Command(program, { args, stdin: "piped", stdout: "piped", stderr: "inherit" })
        .spawn(),
    );
    const first = await agent.#line();
    if (first !== "ready") throw new Error(`no agent in "${namespace}": ${first}`);
    return agent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last.catch(() => {});
    await this.#writer.close().catch(() => {});
    await this.#reader.cancel();
    await this.#child.status;
  }

  async raw(frames: readonly Frame[], times: number, gap: number): Promise<number> {
    return await this.#ask({ raw: frames, times, gap }) as number;
  }

  /** Sends ordinary UDP datagrams to each address of `flows`, with its mark. */
  async talk(flows: Readonly<Record<string, string>>, times: number, gap = 10): Promise<number> {
    return await this.#ask({ talk: flows, times, gap }) as number;
  }

  /** Sends as often as possible; the time starts when the interface accepts the first frame. */
  async haste(frames: readonly Frame[], seconds: number): Promise<number> {
    return await this.#ask({ haste: frames, seconds }) as number;
  }

  async flood(seconds: number): Promise<number> {
    return await this.#ask({ flood: seconds }) as number;
  }

  async seen(mark: string): Promise<Seen> {
    const counts = await this.#ask({ seen: true }) as Record<string, [number, number]>;
    const [own, others] = counts[mark] ?? [0, 0];
    return { own, others };
  }

  /** As `seen`, but waits up to three seconds until `wanted` frames arrived, because a busy machine delivers late. */
  async sees(mark: string, wanted: number): Promise<Seen> {
    return await latest(() => this.seen(mark), ({ own }) => own >= wanted, PATIENCE_S);
  }

  /** Counts datagrams with a mark that the IP stack of the place accepted, on any interface. */
  async taken(mark: string): Promise<number> {
    return (await this.seen(`taken.${mark}`)).own;
  }

  /** One request at a time, because answers arrive in the order of the requests. */
  #ask(request: unknown): Promise<unknown> {
    const answer = this.#last.then(async () => {
      await this.#writer.write(new TextEncoder().encode(`${JSON.stringify(request)}\n`));
      return JSON.parse(await this.#line());
    });
    this.#last = answer.catch(() => {});
    return answer;
  }

  async #line(): Promise<string> {
    const decoder = new TextDecoder();
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`the agent ended: ${this.#rest}`);
      this.#rest += decoder.decode(value, { stream: true });
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }
}
