/** Prints a line on stderr. */
export function say(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
}

/**
 * Prints the line, and appends the outcome as JSON to the file that OUTCOMES names, from which the suite's page is
 * written. Call it only after the assertions.
 */
export function recordOutcome(line: string, outcome: object): void {
  say(line);
  const log = Deno.env.get("OUTCOMES");
  if (log === undefined) return;
  Deno.writeTextFileSync(log, `${JSON.stringify(outcome)}\n`, { append: true });
}

/** The recorded outcomes of a run, from stdin. */
export async function readOutcomes<T>(): Promise<T[]> {
  const text = await new Response(Deno.stdin.readable).text();
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** Prints the page on stdout. */
export async function printPage(lines: readonly string[]): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(lines.join("\n")));
}
