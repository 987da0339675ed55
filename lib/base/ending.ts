import { BUILD_FORM } from "./build.ts";
import { expiry } from "./deadline.ts";
import { STATE_FOLDER } from "./scope.ts";

/** How long Deno may take to end by itself, in milliseconds. */
const ENDING_MS = 1_000;

/** In bytes. SQLite writes a page or two in any run; those do not count. */
const MOST_UNWRITTEN = 64 * 1024;

/**
 * Ends the process: at once, unless the next runs would then be slower. Deno writes its compiled code into the cache's file
 * only if a program ends by itself. Until then each start reads it out of the journal, which costs 4 % of an ADD and DEL;
 * to end every run by itself costs as much. A failure ends at once: something may be in progress that Deno would wait for.
 */
export function end(exitCode: number): void {
  if (exitCode !== 0 || !hasUnwrittenCache()) Deno.exit(exitCode);
  expiry(ENDING_MS).then(() => Deno.exit(exitCode));
}

/** Whether the journal of the cache is long. Only the script form has a cache. */
function hasUnwrittenCache(): boolean {
  try {
    return BUILD_FORM === "script" &&
      Deno.lstatSync(`${STATE_FOLDER}/.deno/v8_code_cache_v2-wal`).size > MOST_UNWRITTEN;
  } catch {
    return false;
  }
}
