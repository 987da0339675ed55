/**
 * The tests of tests/integration that the full run leaves out under an emulator, by how their names begin. Printed are
 * all others, as the filter of `deno test`.
 */
export const LEFT_OUT: readonly string[] = [
  // They see the emulator where they look for the program: its processes and signals, the file that it reads, what strace sees.
  "no ip stays behind",
  "the compiled file has the declared scope",
  "an ADD next to others starts ip twice",
  // Without vfork, an `ip` that can't be started is no error of the call that starts it.
  "STATUS: code 50 for no ip",
  // A second ADD takes longer than the kernel needs to settle the IPv6 address of the first.
  "an attachment is added once",
  "an ADD again with another namespace is refused",
  // It looks at the clock, and three DELs take three times what it allows.
  "a DEL without a killed ADD before it waits for nothing",
];

const INTEGRATION = new URL("../integration/", import.meta.url);

/** The names of all tests there, none of which runs. */
export async function names(): Promise<string[]> {
  const found: string[] = [];
  const { test } = Deno;
  const naming = new Proxy(test ?? (() => {}), {
    apply: (_, __, [it]: [string | { readonly name: string }]) =>
      void found.push(typeof it === "string" ? it : it.name),
  });
  // Each file names its tests as it is loaded.
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
  // The filter knows no look-ahead.
  const filter = wanted.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  Deno.stdout.writeSync(new TextEncoder().encode(`--filter=/^(${filter})$/\n`));
}
