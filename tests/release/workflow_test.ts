import { assert, assertEquals, assertMatch } from "@std/assert";
import { run } from "../integration/host.ts";
import { CHECKOUT, workflow } from "./workflow.ts";

const NAMES = [...Deno.readDirSync(`${CHECKOUT}.github/workflows`)].map(({ name }) =>
  name.replace(".yml", "")
).sort();

Deno.test("workflows: one for each push, one for a tag", async () => {
  assertEquals(NAMES, ["ci", "release"]);
  assertEquals((await workflow("release")).on, { push: { tags: ["v*"] } });
});

for (const name of NAMES) {
  Deno.test(`${name}.yml: actions are pinned by commit, and a token may write only where it must`, async () => {
    const { permissions, jobs } = await workflow(name);
    assertEquals(permissions, { contents: "read" });
    for (const [id, job] of Object.entries(jobs)) {
      if (job.uses !== undefined) assertMatch(job.uses, /^\.\//);
      for (const step of job.steps ?? []) {
        assert(
          (step.uses === undefined) !== (step.run === undefined),
          `${id}: one of uses and run`,
        );
        if (step.uses !== undefined) assertMatch(step.uses, /^actions\/[a-z-]+@[0-9a-f]{40}$/);
        // GitHub pastes an expression into a script unquoted, so values are passed by the environment.
        assert(!step.run?.includes("${{"), `${id}: ${step.run}`);
      }
    }
  });

  Deno.test(`${name}.yml: each script passes shellcheck`, async () => {
    for (const job of Object.values((await workflow(name)).jobs)) {
      for (const step of job.steps ?? []) {
        if (step.run === undefined) continue;
        const { code, stdout } = await run(["shellcheck", "-s", "sh", "-"], step.run);
        assertEquals({ code, stdout }, { code: 0, stdout: "" }, step.run);
      }
    }
  });
}

Deno.test("ci.yml runs .ci/run, and nothing else", async () => {
  const { jobs: { checks } } = await workflow("ci");
  const scripts = (checks?.steps ?? []).flatMap(({ run }) => run ?? []);
  assertEquals(scripts.at(-1), ".ci/run");
  assertEquals(scripts.filter((it) => !/^(apt-get|git config)/.test(it)), [".ci/run"]);
});

Deno.test("release.yml: after the checks, with Deno's own runtime, attested before it is published", async () => {
  const { jobs: { release, checks } } = await workflow("release");
  assertEquals([release?.needs, checks?.uses], ["checks", "./.github/workflows/ci.yml"]);
  assertEquals(release?.permissions, {
    contents: "write",
    "id-token": "write",
    attestations: "write",
  });
  const steps = release?.steps ?? [];
  const at = (part: string) => steps.findIndex((it) => `${it.uses}${it.run}`.includes(part));
  assertEquals(steps[at("tools/release/release")]?.env, { DENORT: "own" });
  assert(
    0 < at("tools/release/release") && at("tools/release/release") < at("attest-build-provenance"),
  );
  assert(at("attest-build-provenance") < at("gh release create"));
  assertEquals(steps[at("attest-build-provenance")]?.with, { "subject-path": "build/release/*" });
});
