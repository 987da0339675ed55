import { assert, assertEquals, assertRejects } from "@std/assert";
import { bothErrors } from "./both_errors.ts";
import { run } from "./integration/host.ts";
import { latest, until, untilSh, untilWorks } from "./until.ts";

Deno.test("until() returns the first value, and fails at once with an error", async () => {
  let tries = 0;
  assertEquals(await until("three", () => ++tries === 3 && tries), 3);
  const fails = () => {
    throw new TypeError(`failure ${++tries}`);
  };
  await assertRejects(() => until("it works", fails, 5), TypeError, "failure 4");
  await assertRejects(() => until("it works", () => false, 0.05), Error, "it works: not within");
});

Deno.test("untilWorks() tries again after an error, and fails with the last one", async () => {
  let tries = 0;
  const failing = async (most: number) => {
    if (++tries <= most) await Promise.reject(new Error(`failure ${tries}`));
    return tries;
  };
  assertEquals(await untilWorks("it works", () => failing(2)), 3);
  const never = () => untilWorks("it works", () => failing(Infinity), 0.05);
  const error = await assertRejects(never, Error, "it works: not within");
  assertEquals(error.cause instanceof Error && error.cause.message, `failure ${tries}`);
  assert(tries > 4, `${tries} tries`);
});

Deno.test("latest() returns the first value that is enough, or else the last one", async () => {
  let tries = 0;
  assertEquals(await latest(() => ++tries, (it) => it === 3, 5), 3);
  const last = await latest(() => ++tries, () => false, 0.05);
  assertEquals([last === tries, last > 4], [true, true]);
});

Deno.test("untilSh() waits for a command, and ends the shell if it never succeeds", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const there = `(sleep 0.1; : >${folder}/there) & ${
      untilSh(`[ -e ${folder}/there ]`)
    }; echo found`;
    assertEquals((await run(["sh", "-ec", there])).stdout, "found\n");
    const never = await run(["sh", "-c", `${untilSh("false", 0.1)}; echo found`]);
    assertEquals([never.code, never.stdout], [1, ""]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("bothErrors() names the error of the body and that of the disposal", async () => {
  const body = bothErrors(async () => {
    await using _resource = {
      [Symbol.asyncDispose]: () => Promise.reject(new Error("a process is left")),
    };
    await Promise.reject(new Error("the body failed"));
  });
  const { message } = await assertRejects(body, Error, "the body failed");
  assert(message.includes("during disposal: Error: a process is left"), message);
  const alone = bothErrors(() => Promise.reject(new TypeError("alone")));
  await assertRejects(alone, TypeError, "alone");
});
