import { fromFileUrl } from "@std/path/posix";
import { run } from "../integration/host.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
/** The two calls that make a state file durable. */
const FILE_SYNC = ".syncDataSync()";
const FOLDER_SYNC = ".syncSync()";

/** A program that trusts the disk more than it should. */
export interface Unsynced {
  readonly name: string;
  readonly without: readonly string[];
}

export const UNSYNCED: readonly Unsynced[] = [
  { name: "no fsync of the file", without: [FILE_SYNC] },
  { name: "no fsync of the folder", without: [FOLDER_SYNC] },
  { name: "no fsync at all", without: [FILE_SYNC, FOLDER_SYNC] },
];

/** Builds the program without these calls, in that folder, and returns its path. */
export async function build({ without }: Unsynced, folder: string): Promise<string> {
  const bundle = `${folder}/bundle.js`;
  await must([Deno.execPath(), "bundle", "-q", "-o", bundle, `${ROOT}main.ts`]);
  let text = await Deno.readTextFile(bundle);
  for (const call of without) text = leaveOut(text, call);
  const header = ["run", "-q", "--no-lock", "--allow-read", `${ROOT}tools/build/script_header.ts`];
  const start = await must([Deno.execPath(), ...header, Deno.execPath()]);
  const program = `${folder}/atomicni.js`;
  await Deno.writeTextFile(program, start + text, { mode: 0o755 });
  return program;
}

/** Throws unless the call occurs exactly once: otherwise the wrong call would be removed. */
function leaveOut(text: string, call: string): string {
  const pieces = text.split(call);
  if (pieces.length !== 2) {
    throw new Error(`Cannot leave out "${call}": it is in the program ${pieces.length - 1} times`);
  }
  // `file.syncDataSync();` becomes `file;`
  return pieces.join("");
}

async function must(command: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  return stdout;
}
