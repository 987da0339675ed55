import { assertEquals, assertStringIncludes } from "@std/assert";
import { CniError } from "../lib/errors.ts";
import { Rollback } from "../lib/rollback.ts";

Deno.test("Rollback undoes newest first, goes on past a failure, and tells of it", async () => {
  const done: string[] = [];
  const undo = new Rollback();
  const failing = new CniError(100, "ip failed", { details: "its stderr" });
  undo.push("remove the veth", () => Promise.resolve(void done.push("veth")));
  undo.push("give back the address", () => Promise.reject(failing));
  undo.push("remove the route", () => Promise.resolve(void done.push("route")));
  const error = await undo.run(new CniError(11, "Cannot wait", { details: "try again" }));
  assertEquals(done, ["route", "veth"]);
  assertEquals([error.code, error.message], [11, "Cannot wait"]);
  assertStringIncludes(error.details, "try again; could not give back the address");
  assertStringIncludes(error.details, "ip failed (its stderr)");
});

Deno.test("Rollback with nothing to undo returns the error as it is, once", async () => {
  const undo = new Rollback();
  const error = new CniError(7, "Cannot");
  assertEquals(await undo.run(error), error);
  assertEquals((await undo.run(new TypeError("a bug"))).code, 199);
  let runs = 0;
  undo.push("count", () => Promise.resolve(void runs++));
  await undo.run(error);
  await undo.run(error);
  assertEquals(runs, 1);
});
