import { fromFileUrl } from "@std/path/posix";
import type { Disk } from "./disk.ts";
import { serve } from "./nbd.ts";

const GUEST = fromFileUrl(new URL("guest", import.meta.url));
/** In memory where that can be had: the disks are written often and kept never. */
const MEMORY = (() => {
  try {
    return Deno.statSync("/dev/shm").isDirectory ? "/dev/shm" : "/tmp";
  } catch {
    return "/tmp";
  }
})();
const BOOT_MS = 60_000;
const COMMAND_MS = 120_000;

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface BootOptions {
  /** Called with each line of the console that answers nothing. */
  readonly onLine?: (line: string) => void;
  /** More for the kernel's command line. */
  readonly kernel?: readonly string[];
  readonly memory?: string;
}

/** What a machine is started with; each ends with the machine. */
interface Parts {
  readonly child: Deno.ChildProcess;
  readonly stack: AsyncDisposableStack;
}

/** A folder that goes with the scope. */
export function scratchFolder(dir: string = MEMORY): { readonly path: string } & Disposable {
  const path = Deno.makeTempDirSync({ dir, prefix: "atomicni-machine-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** A machine with a kernel of its own, driven over its console. At its end it loses its power. */
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

  /** User-mode Linux with the host's own root as its own, read-only, and `disk` as /dev/vda. */
  static async boot(disk: Disk, options: BootOptions = {}): Promise<Machine> {
    return await Machine.start(await userMode(disk, options), options);
  }

  static async start(parts: Parts, { onLine = () => {} }: BootOptions): Promise<Machine> {
    const machine = new Machine(parts, onLine);
    const { code, stdout } = await machine.#answer("ready", BOOT_MS).catch(async (cause) => {
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

  /** As `sh`; a failure is one of the test's. */
  async must(script: string, ms?: number): Promise<string> {
    const { code, stdout, stderr } = await this.sh(script, ms);
    if (code !== 0) throw new Error(`${script}: exit ${code}: ${stdout}${stderr}${this.#last()}`);
    return stdout.trimEnd();
  }

  get ended(): Promise<unknown> {
    return this.#parts.child.status;
  }

  /** Takes the power away. */
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

/** Starts a process that ends with the stack. */
function spawn(stack: AsyncDisposableStack, command: string, options: Deno.CommandOptions) {
  const child = new Deno.Command(command, options).spawn();
  stack.defer(async () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await child.status;
  });
  return child;
}

async function userMode(disk: Disk, { kernel = [], memory = "512M" }: BootOptions): Promise<Parts> {
  const stack = new AsyncDisposableStack();
  const { path } = stack.use(scratchFolder());
  // The block driver of user-mode Linux itself takes flushes and does nothing; a disk by vhost-user is told of them.
  stack.use(serve(disk, `${path}/nbd`));
  spawn(stack, "qemu-storage-daemon", {
    args: [
      ...["--blockdev", `driver=nbd,node-name=d,server.type=unix,server.path=${path}/nbd`],
      "--export",
      `type=vhost-user-blk,id=e,node-name=d,addr.type=unix,addr.path=${path}/disk,writable=on`,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  });
  await exists(`${path}/disk`);
  const child = new Deno.Command("setsid", {
    args: [
      ...["linux.uml", `mem=${memory}`, "rootfstype=hostfs", "root=/dev/root", "rootflags=/", "ro"],
      ...[`init=${GUEST}/init`, `virtio_uml.device=${path}/disk:2`, "con0=fd:0,fd:1", "con=null"],
      ...["quiet", "loglevel=1", "panic=-1", ...kernel],
    ],
    env: { TMPDIR: path },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  stack.defer(() => endGroup(child));
  return { child, stack };
}

/** User-mode Linux has a process for each address space, all of its own group; killed alone it would leave them. */
async function endGroup(child: Deno.ChildProcess): Promise<void> {
  await new Deno.Command("kill", { args: ["-KILL", "--", `-${child.pid}`], stderr: "null" })
    .output();
  await child.status;
}

async function exists(path: string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await Deno.lstat(path).then(() => true, () => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${path} did not come`);
}
