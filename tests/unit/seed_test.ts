import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { seedOf } from "../seed.ts";

const drawn = (env: Record<string, string>) => seedOf("FAULTS_SEED", (name) => env[name]);

Deno.test("seeds: a short form and CI draw the same cases each time", () => {
  const fixed = [{ CI: "1" }, { SIZE: "short" }].map(drawn);
  assertEquals(new Set(fixed).size, 1);
  const others = [{}, { CI: "" }, { SIZE: "full" }].flatMap((env) => [drawn(env), drawn(env)]);
  assertEquals(new Set(others).size, others.length, "drawn twice");
  for (const it of others) assertNotEquals(it, fixed[0]);
});

Deno.test("seeds: a named seed repeats a run", () => {
  assertEquals(drawn({ FAULTS_SEED: "7", CI: "1", SIZE: "short" }), 7);
  for (const FAULTS_SEED of ["-1", "1.5", "x"]) assertThrows(() => drawn({ FAULTS_SEED }), Error);
  assert(drawn({ FAULTS_SEED: "0" }) === 0);
});
