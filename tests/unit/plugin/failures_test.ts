import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { Failures } from "../../../lib/plugin/failures.ts";

Deno.test("Failures goes on past what fails, and throws the first with what the others said", async () => {
  const none = new Failures();
  assertEquals(await none.past(() => 7), 7);
  none.raise("done all the same");
  const some = new Failures();
  const fail = (kind: "IpFailed" | "StateDamaged", message: string) => () => {
    throw new CniError(kind, message, { details: `${message}'s remedy` });
  };
  assertEquals(await some.past(fail("StateDamaged", "first")), undefined);
  assertEquals(await some.past(() => Promise.resolve("on")), "on");
  await some.past(fail("IpFailed", "second"));
  const error = assertThrows(() => some.raise("the rest is done"), CniError);
  assertEquals([error.code, error.message, error.details], [
    104,
    "first",
    "first's remedy; then: second (second's remedy); the rest is done",
  ]);
  const bug = new Failures();
  await bug.past(() => Promise.reject(new TypeError("x")));
  assertEquals(assertThrows(() => bug.raise(), CniError).code, 199);
});
