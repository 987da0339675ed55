import { assertEquals } from "@std/assert";
import { LEFT_OUT } from "./left_out.ts";

const INTEGRATION = new URL("../integration/", import.meta.url);

/** The names of all tests there, none of which runs. */
async function names(): Promise<string[]> {
  const found: string[] = [];
  const { test } = Deno;
  const naming = new Proxy(test, {
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

Deno.test("arm64: each test that the full run leaves out exists", async () => {
  const all = await names();
  assertEquals(LEFT_OUT.filter((it) => !all.some((name) => name.startsWith(it))), []);
});
