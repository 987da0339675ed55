import { assertEquals } from "@std/assert";
import { Host } from "../integration/host.ts";
import { gaps } from "./coverage.ts";
import { rulesSection, writeSection } from "./docs.ts";
import { Lab } from "./lab.ts";
import { ROWS } from "./rows.ts";

Deno.test("conformance: every rule has a test, or a reason why it is not for this plugin", () => {
  assertEquals(gaps(), []);
});

Deno.test("conformance", async (test) => {
  await using host = await Host.create();
  const lab = new Lab(host);
  const failed = new Set<string>();
  for (const { rules, what, steps } of ROWS) {
    const passed = await test.step(`${rules}: ${what}`, async () => {
      await lab.clean();
      try {
        await steps(lab);
      } catch (error) {
        if (error instanceof Error) error.message += `\n${await host.report()}`;
        throw error;
      }
    });
    if (!passed) failed.add(what);
  }
  await writeSection("rules", rulesSection(failed));
});
