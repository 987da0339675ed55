import { assertEquals } from "@std/assert";
import { Host, STATE_FOLDER } from "../../integration/host.ts";
import { AMOUNTS, SEED } from "./amounts.ts";
import { SIZE } from "../../size.ts";
import { caseOf } from "./mutate.ts";
import { complaint } from "./verdict.ts";
import { test } from "../../both_errors.ts";

/** Everything of this plugin that a run may have left. */
const LEFT = `
ip -br link | awk '{sub(/@.*/, "", $1); print $1}' | grep -E '^a[vp][0-9a-f]{13}$' || true
find ${STATE_FOLDER} -name '*.tmp' -o -name '*.add'; for f in $(find ${STATE_FOLDER} -name '*.json'); do grep -q '"containerToIP":{}' $f || echo $f; done
ip -n c1 -br link | grep -v '^lo ' || true; ip -n c2 -br link | grep -v '^lo ' || true`;

const AMOUNT = AMOUNTS[SIZE];

test(`fuzz: ${AMOUNT} inputs through the program (SEED=${SEED})`, async () => {
  await using host = await Host.create();
  await host.containers("c1", "c2");
  for (let index = 0; index < AMOUNT; index++) {
    const input = caseOf(SEED + index);
    // An environment can't hold a value with a NUL.
    const env = Object.fromEntries(
      Object.entries(input.env).map(([name, value]) => [name, value.replaceAll("\0", "?")]),
    );
    const { code, stdout, stderr } = await host.program([], input.stdin, env);
    const wrong = complaint(input, { exit: code, stdout, stderr });
    const about = `SEED=${SEED + index} ${JSON.stringify(input)}\nexit ${code} ${stdout}${stderr}`;
    assertEquals(wrong, undefined, about);
    if (code === 0 && env["CNI_COMMAND"] === "ADD") {
      const del = await host.program([], input.stdin, { ...env, CNI_COMMAND: "DEL" });
      assertEquals(del.code, 0, `a DEL of the added attachment fails: ${del.stdout}\n${about}`);
    }
    if (env["CNI_COMMAND"] === "ADD") {
      assertEquals(await host.sh(LEFT), "", `left behind\n${about}`);
    }
  }
});
