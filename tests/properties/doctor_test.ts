import { assertEquals, assertMatch } from "@std/assert";
import { Host } from "../integration/host.ts";
import { test } from "../both_errors.ts";
import { disagreement } from "./doctor.ts";
import { HOST_STATES, type HostState, PLAIN } from "./host_states.ts";

for (const state of HOST_STATES) {
  test(`doctor and STATUS agree with ADD: ${state.name}`, async () => {
    await using host = await Host.create();
    assertEquals(await disagreement(host, state), undefined);
  });
}

const named = (name: string) => HOST_STATES.find((it) => it.name === name) ?? PLAIN;
const REFUSED = named("the bridge has another address");

/** Programs with one fault each, the host that shows it, and the complaint. */
const WRONG: readonly (readonly [what: string, script: string, on: HostState, kind: RegExp])[] = [
  [
    "a program whose doctor never reports a fault",
    `"$@"; e=$?; [ $# -lt 2 ] || exit 0; exit $e`,
    REFUSED,
    /^doctor says 0, but the ADD ends/,
  ],
  [
    "a program whose doctor reports a warning as an error",
    `case "$*" in *doctor*) "$@"; e=$?; [ $e = 1 ] && exit 2; exit $e ;; esac; exec "$@"`,
    named("another network has the same bridge and subnet"),
    /^doctor says 2, but the ADD works/,
  ],
  [
    "a program whose STATUS never reports a fault",
    `[ "$CNI_COMMAND" = STATUS ] || exec "$@"`,
    REFUSED,
    /^STATUS says 0, but the ADD ends/,
  ],
];

for (const [what, script, on, kind] of WRONG) {
  test(`doctor and STATUS agree with ADD: ${what} is found`, async () => {
    await using host = await Host.create();
    const found = await disagreement(host, on, ["sh", "-c", script, "sh"]);
    assertMatch(found ?? "nothing", kind);
  });
}
