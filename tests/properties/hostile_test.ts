import { assert } from "@std/assert";
import { hostileContainer } from "./hostile.ts";
import { REPEATS } from "./limits.ts";
import { finds, verify } from "./search.ts";
import { test } from "../both_errors.ts";

test("property: a hostile container", async () => {
  await verify(hostileContainer);
  for (const what of ["tricks", "runs on the host"]) {
    const often = hostileContainer.seen.get(what) ?? 0;
    assert(REPEATS || often >= hostileContainer.limits.cases, `only ${often} ${what}`);
  }
});

const ignore = REPEATS;

test({
  name:
    "a hostile container: a program whose repair trusts containers more than the state is found",
  ignore,
  fn: () =>
    finds(
      hostileContainer,
      `case "$*" in *repair*) rm -f /var/lib/atomicni/podnet.json ;; esac; exec "$@"`,
      /^repair.*: the lease of another attachment is gone or moved/,
    ),
});

test({
  name: "a hostile container: a program whose GC decides by the inside of a container is found",
  ignore,
  fn: () =>
    finds(
      hostileContainer,
      `[ "$CNI_COMMAND" = GC ] && for name in $(ip -n m -o link | sed 's/^[0-9]*: //; s/[@:].*//'); do
        case $name in av*) ip link del dev "$name" 2>/dev/null ;; esac; done; exec "$@"`,
      /^a GC: the (lease|host veth) of another attachment is gone/,
    ),
});

test({
  name: "a hostile container: a program whose DEL removes the guard of others is found",
  ignore,
  fn: () =>
    finds(
      hostileContainer,
      `"$@"; status=$?
      [ "$CNI_COMMAND" = DEL ] && ip neigh flush dev atomic0 nud permanent 2>/dev/null
      exit $status`,
      /^a DEL: a guarded neighbour of another is gone/,
    ),
});

test({
  name: "a hostile container: a program whose list trusts a container about an address is found",
  ignore,
  fn: () =>
    finds(
      hostileContainer,
      `case "$*" in *list*) ;; *) exec "$@" ;; esac
      out=$("$@"); for ip in $(ip -n m -o -4 addr | sed 's/.* inet //; s|/.*||'); do
        out=$(printf '%s' "$out" | sed "s|\\"containerId\\":\\"v[0-9]\\"\\([^{}]*\\"address\\":\\"$ip\\"\\)|\\"containerId\\":\\"m\\"\\1|"); done
      printf '%s\\n' "$out"`,
      /^list says something else of another/,
    ),
});
