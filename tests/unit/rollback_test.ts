import { assertEquals, assertStringIncludes } from "@std/assert";
import { CniError } from "../../lib/base/errors.ts";
import { Rollback } from "../../lib/rollback.ts";

Deno.test("Rollback undoes newest first and stops where an undo fails, telling of all that is left", async () => {
  const done: string[] = [];
  const undo = new Rollback();
  const failing = new CniError("IpFailed", "ip failed", { details: "its stderr" });
  undo.push("give back the address", () => Promise.resolve(void done.push("address")));
  undo.push("remove the veth", () => Promise.reject(failing));
  undo.push("remove the route", () => Promise.resolve(void done.push("route")));
  const error = await undo.run(
    new CniError("TryAgainLater", "Cannot wait", { details: "try again" }),
  );
  assertEquals(done, ["route"]);
  assertEquals([error.code, error.message], [11, "Cannot wait"]);
  assertStringIncludes(
    error.details,
    "try again; could not remove the veth, give back the address",
  );
  assertStringIncludes(error.details, "ip failed (its stderr)");
});

Deno.test("Rollback with nothing to undo returns the error as it is, once", async () => {
  const undo = new Rollback();
  const error = new CniError("InvalidNetworkConfig", "Cannot");
  assertEquals(await undo.run(error), error);
  assertEquals((await undo.run(new TypeError("a bug"))).code, 199);
  let runs = 0;
  undo.push("count", () => Promise.resolve(void runs++));
  await undo.run(error);
  await undo.run(error);
  assertEquals(runs, 1);
});
