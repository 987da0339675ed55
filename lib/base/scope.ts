import manifest from "../../deno.json" with { type: "json" };

/** The permission scope, read from deno.json, its only declaration. */
const scope = manifest.permissions.plugin;

/** The only folder that the program reads and writes; a configuration's `dataDir` is this folder or one below. */
export const STATE_FOLDER: string = scope.write.join();
/** Allowed paths of `ip`; the first that exists is used. */
export const IP_PATHS: readonly string[] = scope.run;
/** The environment variables that the program may read. */
export const VARIABLES: readonly string[] = scope.env;
export const PROGRAM_VERSION: string = manifest.version;
