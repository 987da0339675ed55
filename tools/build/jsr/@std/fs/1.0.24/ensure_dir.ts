/** Makes `dir` and what is above it unless it is there; throws where something else is. */
export function ensureDirSync(dir: string): void {
  Deno.mkdirSync(dir, { recursive: true });
  if (!Deno.statSync(dir).isDirectory) throw new Error(`not a folder: ${dir}`);
}
