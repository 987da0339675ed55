import { assert } from "@std/assert";
import { ALONE, doctorAgrees } from "./doctor.ts";
import { REPEATS } from "./limits.ts";
import { finds, verify } from "./search.ts";
import { test } from "../both_errors.ts";

test(`property: doctor agrees with ADD, ${ALONE.length} of each alone`, async () => {
  assert(ALONE.length >= 40);
  await verify(doctorAgrees);
  for (const what of ["work", "fail", "checked with STATUS too"]) {
    const often = doctorAgrees.seen.get(what) ?? 0;
    assert(REPEATS || often >= 20, `only ${often} ${what}`);
  }
});

const ignore = REPEATS;
const REFUSED = ALONE.findIndex(({ around }) => around.name === "the bridge has another address");

test({
  name: "doctor agrees with ADD: a program whose doctor never reports a fault is found",
  ignore,
  fn: () =>
    finds(
      doctorAgrees,
      `"$@"; e=$?; [ $# -lt 2 ] || exit 0; exit $e`,
      /^doctor says 0, but the ADD ends/,
      REFUSED,
    ),
});

test({
  name: "doctor agrees with ADD: a program whose doctor reports a warning as an error is found",
  ignore,
  fn: () =>
    finds(
      doctorAgrees,
      `case "$*" in *doctor*) "$@"; e=$?; [ $e = 1 ] && exit 2; exit $e ;; esac; exec "$@"`,
      /^doctor says 2, but the ADD works/,
    ),
});

test({
  name: "doctor agrees with ADD: a program whose STATUS never reports a fault is found",
  ignore,
  fn: () =>
    finds(
      doctorAgrees,
      `[ "$CNI_COMMAND" = STATUS ] || exec "$@"`,
      /^STATUS says 0, but the ADD ends/,
      REFUSED,
    ),
});
