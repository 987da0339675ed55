import { ifThere } from "../base/errors.ts";

/** How many more descriptors an ADD has open than a STATUS, at the maximum of each: signals, mark, lock and state. */
const FURTHER = 4;

/** Runs `work` with as many descriptors open as an ADD has. Throws IOFailure if the process has too few (`ulimit -n`). */
export async function withFilesOfAdd<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const files: Deno.FsFile[] = [];
  try {
    // The first ADD makes the folder.
    ifThere("open files for an ADD in", `${folder}/`, () => {
      while (files.length < FURTHER) files.push(Deno.openSync(folder, { read: true }));
    });
    return await work();
  } finally {
    files.forEach((file) => file.close());
  }
}
