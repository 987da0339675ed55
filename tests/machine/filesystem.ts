import { run } from "../integration/host.ts";
import type { Machine } from "./machine.ts";
import { scratchFolder } from "./power.ts";

export interface FileSystem {
  readonly name: string;
  readonly type: "ext4" | "xfs";
  /** Beyond the defaults. */
  readonly options?: string;
}

/** The second has neither of what spares careless programs: the order of data and names, and the flush at a rename. */
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

/** What the storm needs beside the journal. */
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

/** Makes the disk the state folder. A write-back cache is to be asked for: the server of the disk announces none. */
export async function mountState(machine: Machine, { type, options = "" }: FileSystem) {
  await machine.must(`echo 'write back' >/sys/block/vda/cache_type
    mount -t ${type} ${options && `-o ${options}`} /dev/vda /var/lib/atomicni`);
}
