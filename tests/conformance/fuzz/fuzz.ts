import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { Host, STATE_FOLDER } from "../../integration/host.ts";
import { writeSection } from "../docs.ts";
import { caseOf } from "./mutate.ts";
import { complaint } from "./verdict.ts";

const ROOT = fromFileUrl(new URL("../../../", import.meta.url));
const THROUGH_THE_PROGRAM = 600;
const IN_PROCESS = 4400;
/** SEED=N repeats a run, or the one input that a failure names. */
const SEED = Number(Deno.env.get("SEED") ?? Math.floor(Math.random() * 1e9));

/** Everything of ours that a run may have left. */
const LEFT = `
ip -br link | awk '{sub(/@.*/, "", $1); print $1}' | grep -E '^a[vp][0-9a-f]{13}$' || true
find ${STATE_FOLDER} -name '*.tmp'; for f in $(find ${STATE_FOLDER} -name '*.json'); do grep -q '"containerToIP":{}' $f || echo $f; done
ip -n c1 -br link | grep -v '^lo ' || true; ip -n c2 -br link | grep -v '^lo ' || true`;

Deno.test(`fuzz: ${THROUGH_THE_PROGRAM} inputs through the program (SEED=${SEED})`, async () => {
  await using host = await Host.create();
  await host.containers("c1", "c2");
  for (let index = 0; index < THROUGH_THE_PROGRAM; index++) {
    const input = caseOf(SEED + index);
    // A value with a NUL can't be in an environment.
    const env = Object.fromEntries(
      Object.entries(input.env).map(([name, value]) => [name, value.replaceAll("\0", "?")]),
    );
    const began = performance.now();
    const { code, stdout, stderr } = await host.program([], input.stdin, env);
    const wrong = complaint(input, { exit: code, stdout, stderr, ms: performance.now() - began });
    const about = `SEED=${SEED + index} ${JSON.stringify(input)}\nexit ${code} ${stdout}${stderr}`;
    assertEquals(wrong, undefined, about);
    if (code === 0 && env["CNI_COMMAND"] === "ADD") {
      const del = await host.program([], input.stdin, { ...env, CNI_COMMAND: "DEL" });
      assertEquals(del.code, 0, `a DEL of what was added fails: ${del.stdout}\n${about}`);
    }
    if (env["CNI_COMMAND"] === "ADD") {
      assertEquals(await host.sh(LEFT), "", `left behind\n${about}`);
    }
  }
});

Deno.test(`fuzz: ${IN_PROCESS} inputs in one process (SEED=${SEED + THROUGH_THE_PROGRAM})`, async () => {
  await using host = await Host.create();
  const passed = ["HOME", "PATH", "JSR_URL", "DENO_DIR"].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const script = fromFileUrl(new URL("inside.ts", import.meta.url));
  const command = [Deno.execPath(), "run", "-q", "-A", "-c", `${ROOT}deno.json`, script];
  const { code, stdout, stderr } = await host.run(
    [...command, String(SEED + THROUGH_THE_PROGRAM), String(IN_PROCESS)],
    "",
    Object.fromEntries(passed),
  );
  assertEquals(code, 0, stderr);
  const { found, total, codes } = JSON.parse(stdout);
  assertEquals(total, 0, JSON.stringify(found, null, 1));
  // Inputs that are all refused for the same reason would prove nothing.
  const works = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"].map((it) => `${it} works`);
  const kinds = [1, 2, 3, 4, 6, 7, 8, 102, 103].map((it) => `code ${it}`);
  for (const kind of [...works, ...kinds]) {
    assert((codes[kind] ?? 0) > 1, `too few that end with "${kind}": ${JSON.stringify(codes)}`);
  }
  await writeSection("fuzz", section());
});

function section(): string {
  return `## Mutated inputs

Each run of \`make conformance\` gives ${THROUGH_THE_PROGRAM} mutated inputs to the program on a private host and ${IN_PROCESS} more to
\`run()\` with an imagined \`ip\`; the seed is printed, and \`SEED=N\` repeats it. Each has to end within 2 s with exit
status 0 or 1, one JSON document or none, a known code, no stack trace, and nothing left; what an ADD made, a DEL of
the same input has to remove.
`;
}
