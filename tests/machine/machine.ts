import type { Parts } from "./power.ts";

const BOOT_MS = 60_000;
const COMMAND_MS = 120_000;

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface BootOptions {
  /** Called with each console line that is not an answer. */
  readonly onLine?: (line: string) => void;
  /** Further arguments of the kernel's command line. */
  readonly kernel?: readonly string[];
  readonly bootMs?: number;
}

/** A machine with its own kernel, driven over its console. Disposal cuts its power. */
export class Machine implements AsyncDisposable {
  readonly #parts: Parts;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<string, (answer: Finished) => void>();
  readonly #reading: Promise<void>;
  #serial = 0;
  readonly lines: string[] = [];
  kernel = "";

  private constructor(parts: Parts, onLine: (line: string) => void) {
    this.#parts = parts;
    this.#writer = parts.child.stdin.getWriter();
    this.#reading = this.#read(onLine);
  }

  /** Waits until the machine's first process runs; cuts the power of a machine that takes too long. */
  static async start(
    parts: Parts,
    { onLine = () => {}, bootMs = BOOT_MS }: BootOptions,
  ): Promise<Machine> {
    const machine = new Machine(parts, onLine);
    const { code, stdout } = await machine.#answer("ready", bootMs).catch(async (cause) => {
      await machine[Symbol.asyncDispose]();
      throw cause;
    });
    if (code === 0) machine.kernel = stdout;
    return machine;
  }

  /** Runs a shell script inside and waits for its end. */
  async sh(script: string, ms: number = COMMAND_MS): Promise<Finished> {
    const token = `t${++this.#serial}`;
    const answer = this.#answer(token, ms);
    const bytes = new TextEncoder().encode(script);
    const base64 = btoa(String.fromCharCode(...bytes));
    await this.#writer.write(new TextEncoder().encode(`${token} ${base64}\n`));
    return await answer;
  }

  /** As `sh`; a failure fails the test. */
  async must(script: string, ms?: number): Promise<string> {
    const { code, stdout, stderr } = await this.sh(script, ms);
    if (code !== 0) throw new Error(`${script}: exit ${code}: ${stdout}${stderr}${this.#last()}`);
    return stdout.trimEnd();
  }

  get ended(): Promise<unknown> {
    return this.#parts.child.status;
  }

  /** Cuts the power. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#writer.close().catch(() => {});
    await this.#parts.stack.disposeAsync();
    await this.#reading;
  }

  #answer(token: string, ms: number): Promise<Finished> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        this.#waiting.delete(token);
        reject(new Error(`the machine gave no answer to ${token}: ${why}${this.#last()}`));
      };
      const timer = setTimeout(() => fail(`none in ${ms} ms`), ms);
      this.#waiting.set(token, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      this.#reading.then(() => {
        clearTimeout(timer);
        if (this.#waiting.has(token)) fail("it has ended");
      });
    });
  }

  #last(): string {
    return `\n${this.lines.slice(-15).join("\n")}`;
  }

  async #read(onLine: (line: string) => void): Promise<void> {
    let rest = "";
    for await (const text of this.#parts.child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(line, onLine);
    }
  }

  #take(line: string, onLine: (line: string) => void): void {
    const [, token = "", code = "", stdout = "", stderr = ""] =
      /^= (\S+) (\S+)(?: (\S*) (\S*))?$/.exec(line) ?? [];
    const resolve = this.#waiting.get(token);
    if (resolve === undefined) {
      this.lines.push(line);
      return onLine(line);
    }
    this.#waiting.delete(token);
    if (token === "ready") resolve({ code: 0, stdout: code, stderr: "" });
    else resolve({ code: Number(code), stdout: decode(stdout), stderr: decode(stderr) });
  }
}

function decode(base64: string): string {
  return new TextDecoder().decode(Uint8Array.from(atob(base64), (it) => it.charCodeAt(0)));
}
