/** Creates `dir` and the folders above it if they are missing; throws if one of the paths is not a folder. */
export function ensureDirSync(dir: string): void {
  Deno.mkdirSync(dir, { recursive: true });
  if (!Deno.statSync(dir).isDirectory) throw new Error(`not a folder: ${dir}`);
}
