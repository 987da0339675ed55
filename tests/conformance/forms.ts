import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { Host } from "../integration/host.ts";
import { Lab } from "./lab.ts";
import { ROWS } from "./rows.ts";

const FORMS = ["bin/atomicni", "bin/atomicni.js"].map((name) =>
  fromFileUrl(new URL(`../../${name}`, import.meta.url))
);

/** What each run chooses or finds anew: random MACs, times, numbers of processes and interfaces. */
function steady(document: string): string {
  return document
    .replaceAll(/\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b/g, "MAC")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replaceAll(/\/proc\/\d+\//g, "/proc/PID/")
    .replaceAll(/\bif\d+\b/g, "IF");
}

Deno.test("both build forms pass the table, with the same documents", async (test) => {
  await using compiled = await Host.create();
  await using script = await Host.create();
  const labs = [new Lab(compiled, FORMS[0]), new Lab(script, FORMS[1])];
  for (const { rules, what, steps } of ROWS) {
    await test.step(`${rules}: ${what}`, async () => {
      const runs = await Promise.allSettled(labs.map(async (lab) => {
        await lab.clean();
        lab.documents.length = 0;
        await steps(lab);
        // Sorted, for runs at the same time end in any order.
        return lab.documents.map(steady).toSorted();
      }));
      const [one, other] = runs.map((it) => {
        if (it.status === "rejected") throw it.reason;
        return it.value;
      });
      assertEquals(other, one, "script and compiled form");
    });
  }
});
