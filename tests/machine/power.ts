import type { Disk } from "./disk.ts";
import { serve } from "./nbd.ts";
import { until } from "../until.ts";

/** In memory if possible: the disks are written often and never kept. */
const MEMORY = (() => {
  try {
    return Deno.statSync("/dev/shm").isDirectory ? "/dev/shm" : "/tmp";
  } catch {
    return "/tmp";
  }
})();

/** The process behind a machine's console, and everything that ends with it. */
export interface Parts {
  readonly child: Deno.ChildProcess;
  readonly stack: AsyncDisposableStack;
}

/** A folder that is removed with the scope. */
export function scratchFolder(dir: string = MEMORY): { readonly path: string } & Disposable {
  const path = Deno.makeTempDirSync({ dir, prefix: "atomicni-machine-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** Serves the disk at a Unix socket in that folder until the stack is disposed. */
export function plugIn(stack: AsyncDisposableStack, disk: Disk, folder: string): string {
  const socket = `${folder}/nbd`;
  stack.use(serve(disk, socket));
  return socket;
}

/** Starts a process that is ended with the stack. */
export function spawn(stack: AsyncDisposableStack, command: string, options: Deno.CommandOptions) {
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

export async function exists(path: string): Promise<void> {
  await until(`${path} exists`, () => Deno.lstat(path).then(() => true, () => false));
}
