import type { Call } from "./peers.ts";

export interface Measured {
  readonly ms: number;
  readonly stdout: string;
}

/** Runs one call as a runtime does and times the whole process. Throws if the call fails. */
export async function measure(call: Call): Promise<Measured> {
  const { success, stdout, stderr, ms } = await attempt(call);
  if (!success) throw new Error(`${call.argv.join(" ")}: ${stdout}${stderr}`);
  return { ms, stdout };
}

/** The same for a call that may fail. */
export async function attempt(
  { argv, env, stdin }: Call,
): Promise<Measured & { readonly success: boolean; readonly stderr: string }> {
  const [program = "", ...args] = argv;
  const bytes = new TextEncoder().encode(stdin);
  const began = performance.now();
  const child = new Deno.Command(program, {
    args,
    env,
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  // An empty program ends without reading.
  await writer.write(bytes).then(() => writer.close()).catch(() => {});
  const { success, stdout, stderr } = await child.output();
  const ms = performance.now() - began;
  const decoder = new TextDecoder();
  return { success, ms, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** The value that `share` (0 to 1) of the sorted values do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The median of the ratios, round by round, so that a slow moment of the machine affects both of a pair. */
export function medianRatio(values: readonly number[], of: readonly number[]): number {
  return median(values.map((value, round) => value / (of[round] ?? NaN)));
}

/** Runs a shell script and returns its output. Throws with its stderr if it fails. */
export async function shell(script: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("bash", { args: ["-ec", script] })
    .output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${script}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}
