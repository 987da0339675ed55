import { assertEquals } from "@std/assert";
import { LEFT_OUT, names } from "./left_out.ts";

Deno.test("arm64: each test that the full run leaves out exists", async () => {
  const all = await names();
  assertEquals(LEFT_OUT.filter((it) => !all.some((name) => name.startsWith(it))), []);
});
