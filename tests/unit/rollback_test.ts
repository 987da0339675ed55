import { assertEquals, assertStringIncludes } from "@std/assert";
import { CniError } from "../../lib/base/errors.ts";
import { Rollback } from "../../lib/rollback.ts";

/** A rollback whose undos note that they ran, or fail. */
function rollback(failing: readonly string[]) {
  const done: string[] = [];
  const undo = new Rollback();
  const step = (name: string) => () => {
    if (failing.includes(name)) {
      return Promise.reject(new CniError("IpFailed", `${name} failed`, "its stderr"));
    }
    return Promise.resolve(void done.push(name));
  };
  undo.pushLast("release the address", step("address"));
  undo.push("remove the veth", step("veth"));
  undo.push("remove the route", step("route"));
  return { undo, done };
}

Deno.test("Rollback undoes newest first, continues after a failure, and keeps the address with its veth", async () => {
  const rows: [string[], string[], string][] = [
    [[], ["route", "veth", "address"], "try again"],
    [["route"], ["veth"], "could not remove the route, release the address, the next DEL will"],
    [["veth"], ["route"], "could not remove the veth, release the address, the next DEL will"],
    [["address"], ["route", "veth"], "could not release the address, the next DEL will"],
    [["route", "veth"], [], "route failed (its stderr); then: veth failed (its stderr)"],
  ];
  for (const [failing, expected, details] of rows) {
    const { undo, done } = rollback(failing);
    const thrown = new CniError("TryAgainLater", "Cannot wait", "try again");
    const error = await undo.run(thrown);
    assertEquals(done, expected, failing.join());
    assertEquals([error.code, error.message], [11, "Cannot wait"]);
    assertStringIncludes(error.details, details);
    assertStringIncludes(error.details, "try again");
  }
});

Deno.test("Rollback without undos returns the error unchanged, once", async () => {
  const undo = new Rollback();
  const error = new CniError("InvalidNetworkConfig", "Cannot", "a remedy");
  assertEquals(await undo.run(error), error);
  assertEquals((await undo.run(new TypeError("a bug"))).code, 199);
  let runs = 0;
  undo.push("count", () => Promise.resolve(void runs++));
  await undo.run(error);
  await undo.run(error);
  assertEquals(runs, 1);
});
