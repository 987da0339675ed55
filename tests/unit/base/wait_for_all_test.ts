import { assertEquals, assertRejects } from "@std/assert";
import { waitForAll } from "../../../lib/base/wait_for_all.ts";

Deno.test("waitForAll() waits for all before it reports a failure", async () => {
  assertEquals<unknown[]>(await waitForAll(Promise.resolve(1), Promise.resolve("a")), [1, "a"]);
  const { promise, resolve } = Promise.withResolvers<void>();
  let isOver = false;
  const both = waitForAll(Promise.reject(new Error("first")), promise).catch((error) => {
    isOver = true;
    throw error;
  });
  await Promise.resolve();
  await new Promise((next) => setTimeout(next, 5));
  assertEquals(isOver, false);
  resolve();
  await assertRejects(() => both, Error, "first");
});
