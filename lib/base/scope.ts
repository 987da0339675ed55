import manifest from "../../deno.json" with { type: "json" };

/** What this program may touch, read from the one place where it is declared. */
const scope = manifest.permissions.plugin;

/** The only folder it reads and writes; a configuration's `dataDir` is this or one below. */
export const STATE_FOLDER: string = scope.write.join();
/** Where `ip` may be; the first that exists is used. */
export const IP_PATHS: readonly string[] = scope.run;
/** The environment variables it may read. */
export const VARIABLES: readonly string[] = scope.env;
export const PROGRAM_VERSION: string = manifest.version;
