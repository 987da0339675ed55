import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { Host } from "../../integration/host.ts";
import { IN_PROCESS, IN_THE_PROGRAM, SEED } from "./amounts.ts";
import { test } from "../../both_errors.ts";

const ROOT = fromFileUrl(new URL("../../../", import.meta.url));

test(`fuzz: ${IN_PROCESS} inputs in one process (SEED=${SEED + IN_THE_PROGRAM})`, async () => {
  await using host = await Host.create();
  const passed = ["HOME", "PATH", "JSR_URL", "DENO_DIR"].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const script = fromFileUrl(new URL("inside.ts", import.meta.url));
  const command = [Deno.execPath(), "run", "-q", "-A", "-c", `${ROOT}deno.json`, script];
  const { code, stdout, stderr } = await host.run(
    [...command, String(SEED + IN_THE_PROGRAM), String(IN_PROCESS)],
    "",
    Object.fromEntries(passed),
  );
  assertEquals(code, 0, stderr);
  const { found, total, codes } = JSON.parse(stdout);
  assertEquals(total, 0, JSON.stringify(found, null, 1));
  // If all inputs were refused for the same reason, the run would prove nothing.
  const works = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"].map((it) => `${it} works`);
  const kinds = [1, 2, 3, 4, 6, 7, 8, 102, 103].map((it) => `code ${it}`);
  for (const kind of [...works, ...kinds]) {
    assert((codes[kind] ?? 0) > 1, `too few inputs end with "${kind}": ${JSON.stringify(codes)}`);
  }
});
