/**
 * The tests of tests/integration that the full run leaves out in an emulator, by the beginning of their names. Prints the
 * names of all others, as the filter of `deno test`.
 */
export const LEFT_OUT: readonly string[] = [
  // They look at processes, signals, open files or system calls, and would see those of the emulator.
  "no ip is left after",
  "the compiled file has exactly the declared scope",
  "an ADD starts ip twice",
  // Without vfork, spawning an `ip` that can't be started does not fail: the new process ends instead.
  "STATUS: code 50 with no ip",
];

const INTEGRATION = new URL("../integration/", import.meta.url);

/** The names of all tests in that folder; none of them runs. */
export async function names(): Promise<string[]> {
  const found: string[] = [];
  const { test } = Deno;
  const naming = new Proxy(test ?? (() => {}), {
    apply: (_, __, [it]: [string | { readonly name: string }]) =>
      void found.push(typeof it === "string" ? it : it.name),
  });
  // Each file names its tests while it is loaded.
  Object.defineProperty(Deno, "test", { value: naming, configurable: true });
  try {
    for (const file of testFiles(INTEGRATION)) await import(file);
  } finally {
    Object.defineProperty(Deno, "test", { value: test, configurable: true });
  }
  return found;
}

function testFiles(folder: URL): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return testFiles(new URL(`${name}/`, folder));
    return name.endsWith("_test.ts") ? [new URL(name, folder).href] : [];
  });
}

if (import.meta.main) {
  const wanted = (await names()).filter((name) => !LEFT_OUT.some((it) => name.startsWith(it)));
  // The filter has no look-ahead.
  const filter = wanted.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  Deno.stdout.writeSync(new TextEncoder().encode(`--filter=/^(${filter})$/\n`));
}
