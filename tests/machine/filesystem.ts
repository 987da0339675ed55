import { run } from "../integration/host.ts";
import type { Machine } from "./machine.ts";
import { scratchFolder } from "./power.ts";

export interface FileSystem {
  readonly name: string;
  readonly type: "ext4" | "xfs";
  /** Beyond the defaults. */
  readonly options?: string;
}

/** The second lacks both protections of careless programs: data before names, and a flush at each rename. */
export const FILE_SYSTEMS: readonly FileSystem[] = [
  { name: "ext4", type: "ext4" },
  {
    name: "ext4, data=writeback,noauto_da_alloc",
    type: "ext4",
    options: "data=writeback,noauto_da_alloc",
  },
  { name: "xfs", type: "xfs" },
];

export const EXT4: FileSystem = { name: "ext4", type: "ext4" };

/** The space for the storm, next to the journal. */
const SIZE = 32 << 20;
const MAKE = {
  ext4: ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
  xfs: ["mkfs.xfs", "-q", "-f", "--unsupported"],
};

/** A new file system, as the bytes of its disk. */
export async function format({ type }: FileSystem): Promise<Uint8Array> {
  using folder = scratchFolder();
  const path = `${folder.path}/image`;
  using file = await Deno.open(path, { create: true, write: true });
  await file.truncate(SIZE);
  const { code, stderr } = await run([...MAKE[type], path]);
  if (code !== 0) throw new Error(`${MAKE[type].join(" ")}: ${stderr}`);
  return await Deno.readFile(path);
}

/** Mounts the disk as the state folder. The guest must request a write-back cache: the disk's server announces none. */
export async function mountState(machine: Machine, { type, options = "" }: FileSystem) {
  await machine.must(`echo 'write back' >/sys/block/vda/cache_type
    mount -t ${type} ${options && `-o ${options}`} /dev/vda /var/lib/atomicni`);
}
