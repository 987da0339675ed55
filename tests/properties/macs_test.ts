import { assert } from "@std/assert";
import { REPEATS } from "./limits.ts";
import { oneMacEach } from "./macs.ts";
import { finds, verify } from "./search.ts";
import { test } from "../both_errors.ts";

test("property: one MAC each", async () => {
  await verify(oneMacEach);
  for (const what of ["ADDs that work", "ADDs that get their MAC", "ADDs that are refused"]) {
    const often = oneMacEach.seen.get(what) ?? 0;
    assert(REPEATS || often >= oneMacEach.limits.cases / 5, `only ${often} ${what}`);
  }
});

const ignore = REPEATS;
/** `MAC`: the request in the configuration; `ADD`: the same configuration without it. */
const ASKED = `[ "$CNI_COMMAND" = ADD ] || exec "$@"
  asked=$(cat); mac=$(printf '%s' "$asked" | sed -n 's/.*"runtimeConfig":{"mac":"\\([^"]*\\)"}.*/\\1/p')
  plain=$(printf '%s' "$asked" | sed 's/,"runtimeConfig":{[^}]*}//')`;

test({
  name: "one MAC each: a program that sets any requested MAC is found",
  ignore,
  fn: () =>
    finds(
      oneMacEach,
      `${ASKED}
      [ -n "$mac" ] || { printf '%s' "$asked" | "$@"; exit; }
      out=$(printf '%s' "$plain" | "$@") || { printf '%s' "$out"; exit 1; }
      had=$(ip -n "$CNI_CONTAINERID" -o link show dev eth0 | sed 's/.*link.ether //; s/ .*//')
      ip -n "$CNI_CONTAINERID" link set dev eth0 address "$mac"
      printf '%s' "$out" | sed "s/\\"eth0\\",\\"mac\\":\\"$had\\"/\\"eth0\\",\\"mac\\":\\"$mac\\"/"`,
      /^an ADD: a container has the MAC of another or of the bridge/,
    ),
});

test({
  name: "one MAC each: a program whose guard moves the entry of another port is found",
  ignore,
  fn: () =>
    finds(
      oneMacEach,
      `[ "$CNI_COMMAND" = ADD ] || exec "$@"
      before=$(ip -B neigh show nud noarp | sed -n 's/^dev av[^ ]* lladdr \\([^ ]*\\) .*/\\1/p' | head -n 1)
      out=$("$@"); status=$?
      veth=$(printf '%s' "$out" | sed -n 's/.*"name":"\\(av[0-9a-f]*\\)".*/\\1/p')
      [ -z "$before" ] || [ -z "$veth" ] || bridge fdb replace "$before" dev "$veth" master static
      printf '%s' "$out"; exit $status`,
      /^an ADD: a port's entry is gone or at another port/,
      2,
    ),
});

test({
  name:
    "one MAC each: a program that refuses an address because of another container's MAC is found",
  ignore,
  fn: () =>
    finds(
      oneMacEach,
      `${ASKED}
      [ -n "$mac" ] && touch /run/asked
      [ -z "$mac" ] && [ -e /run/asked ] && { rm /run/asked
        echo '{"cniVersion":"1.1.0","code":102,"msg":"taken"}'; exit 1; }
      printf '%s' "$asked" | "$@"`,
      /^an ADD is refused: 102 taken/,
    ),
});
