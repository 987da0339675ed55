import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { Failures } from "../../../lib/plugin/failures.ts";

Deno.test("Failures continues after a failure, and throws the first error with the messages of the others", async () => {
  const none = new Failures();
  assertEquals(await none.attempt(() => 7), 7);
  none.raise("the veth was removed");
  const some = new Failures();
  const fail = (kind: "IpFailed" | "StateDamaged", message: string) => () => {
    throw new CniError(kind, message, `${message}'s remedy`);
  };
  assertEquals(await some.attempt(fail("StateDamaged", "first")), undefined);
  assertEquals(await some.attempt(() => Promise.resolve("on")), "on");
  await some.attempt(fail("IpFailed", "second"));
  const error = assertThrows(() => some.raise("the rest is done"), CniError);
  assertEquals([error.code, error.message, error.details], [
    104,
    "first",
    "first's remedy; then: second (second's remedy); the rest is done",
  ]);
  const bug = new Failures();
  await bug.attempt(() => Promise.reject(new TypeError("x")));
  assertEquals(assertThrows(() => bug.raise(), CniError).code, 199);
});
