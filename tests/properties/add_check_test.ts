import { assert } from "@std/assert";
import { addThenCheck } from "./add_check.ts";
import { KINDS } from "./kinds.ts";
import { REPEATS } from "./limits.ts";
import { finds, verify } from "./search.ts";
import { test } from "../both_errors.ts";

test("property: ADD then CHECK", async () => {
  await verify(addThenCheck);
  const accepted = addThenCheck.seen.get("accepted") ?? 0;
  // If all cases were refused, the run would prove little.
  const { cases } = addThenCheck.limits;
  assert(REPEATS || accepted >= cases / 4, `only ${accepted} were accepted`);
  for (const it of KINDS) {
    const often = addThenCheck.seen.get(`accepted: ${it}`) ?? 0;
    assert(REPEATS || often >= Math.floor(cases / 100), `only ${often} were accepted with ${it}`);
  }
});

const ignore = REPEATS;

test({
  name: "ADD then CHECK: a program whose ADD omits the default route is found",
  ignore,
  fn: () =>
    finds(
      addThenCheck,
      `[ "$CNI_COMMAND" = ADD ] || exec "$@"
      "$@"; status=$?; ip -n "$CNI_CONTAINERID" route del default 2>/dev/null; exit $status`,
      /^CHECK after its own ADD: 106/,
      2,
    ),
});

test({
  name: "ADD then CHECK: a program whose DEL only claims success is found",
  ignore,
  fn: () => finds(addThenCheck, `[ "$CNI_COMMAND" = DEL ] || exec "$@"`, /^one DEL leaves /, 1),
});

test({
  name: "ADD then CHECK: a program whose DEL leaves a mark is found",
  ignore,
  fn: () =>
    finds(
      addThenCheck,
      `[ "$CNI_COMMAND" = ADD ] && : >/var/lib/atomicni/.podnet.av0123456789abc.add; exec "$@"`,
      /leaves? a temporary or a mark$/,
    ),
});

test({
  name: "ADD then CHECK: a program whose DEL leaves the guard's neighbours is found",
  ignore,
  fn: () =>
    finds(
      addThenCheck,
      `[ "$CNI_COMMAND" = DEL ] || exec "$@"
      ip neigh show nud permanent >/run/permanent; "$@"; status=$?
      while read -r ip _ dev _ mac _; do
        ip neigh replace "$ip" lladdr "$mac" dev "$dev" nud permanent; done </run/permanent
      exit $status`,
      /^one DEL leaves a permanent neighbour$/,
      2,
    ),
});

test({
  name: "ADD then CHECK: a program whose result has another address than the kernel is found",
  ignore,
  fn: () =>
    finds(
      addThenCheck,
      `[ "$CNI_COMMAND" = ADD ] || exec "$@"
      out=$("$@"); status=$?; printf '%s' "$out" | sed 's|\\("address":"[^"]*\\)\\([0-9a-f]\\)/|\\19/|'
      exit $status`,
      /^the result of an ADD: other addresses/,
      1,
    ),
});

test({
  name: "ADD then CHECK: a program that reports a wrong configuration as its own bug is found",
  ignore,
  fn: () =>
    finds(
      addThenCheck,
      `out=$("$@"); status=$?; printf '%s' "$out" | sed 's/"code":7/"code":199/'; exit $status`,
      /^an ADD ends with 199/,
      3,
    ),
});
