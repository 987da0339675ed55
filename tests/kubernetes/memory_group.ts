const ROOT = "/sys/fs/cgroup";

/** Whether a folder or file exists. */
async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** A cgroup that measures and limits the memory of its processes, of version 2 or 1 of the kernel's interface. */
export class MemoryGroup implements AsyncDisposable {
  readonly #folder: string;
  readonly #isOld: boolean;

  private constructor(folder: string, isOld: boolean) {
    this.#folder = folder;
    this.#isOld = isOld;
  }

  /** With a limit in MB, if one is given. Throws if this machine has no memory controller. */
  static async create(limit?: number): Promise<MemoryGroup> {
    const isOld = await exists(`${ROOT}/memory/tasks`);
    const parent = isOld ? `${ROOT}/memory` : ROOT;
    if (!isOld) await Deno.writeTextFile(`${ROOT}/cgroup.subtree_control`, "+memory");
    const folder = `${parent}/atomicni-tests-${Deno.pid}-${limit ?? "free"}`;
    await Deno.mkdir(folder);
    const group = new MemoryGroup(folder, isOld);
    const file = isOld ? "memory.limit_in_bytes" : "memory.max";
    if (limit !== undefined) await Deno.writeTextFile(`${folder}/${file}`, `${limit}M`);
    return group;
  }

  /** An empty cgroup can be removed; a process that was killed takes a moment to end. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (let tries = 50; tries > 0; tries--) {
      try {
        return await Deno.remove(this.#folder);
      } catch (error) {
        if (tries === 1) throw error;
        await new Promise((resume) => setTimeout(resume, 100));
      }
    }
  }

  /** A process joins by writing its ID into this file. */
  get processes(): string {
    return `${this.#folder}/cgroup.procs`;
  }

  /** The most memory that its processes had at one moment, in MB. */
  async peak(): Promise<number> {
    const file = this.#isOld ? "memory.max_usage_in_bytes" : "memory.peak";
    return Number(await Deno.readTextFile(`${this.#folder}/${file}`)) / 2 ** 20;
  }

  /** The number of processes that the kernel killed for want of memory. */
  async killed(): Promise<number> {
    const file = this.#isOld ? "memory.oom_control" : "memory.events";
    const text = await Deno.readTextFile(`${this.#folder}/${file}`);
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? NaN);
  }
}
