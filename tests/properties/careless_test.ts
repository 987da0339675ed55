import { assert } from "@std/assert";
import { carelessRoot } from "./careless.ts";
import { REPEATS } from "./limits.ts";
import { finds, verify } from "./search.ts";

Deno.test("property: a careless root", async () => {
  await verify(carelessRoot);
  for (const what of ["done by hand", "runs of the program", "ADDs that work"]) {
    const often = carelessRoot.seen.get(what) ?? 0;
    assert(REPEATS || often >= carelessRoot.limits.cases, `only ${often} ${what}`);
  }
});

const ignore = REPEATS;
const TWICE = /^an address is given twice, and no document said so/;

Deno.test({
  name: "a careless root: a program whose ADD gives an address that is held is found",
  ignore,
  fn: () =>
    finds(
      carelessRoot,
      `[ "$CNI_COMMAND" = ADD ] && out=$("$@") || { [ -z "$out" ] && exec "$@"; printf '%s' "$out"; exit 1; }
      mine=$(ip -n "$CNI_CONTAINERID" -o -4 addr show dev eth0 | sed 's/.* inet //; s/ .*//')
      ip -n "$CNI_CONTAINERID" addr flush dev eth0
      ip -n "$CNI_CONTAINERID" addr add 10.88.0.2/24 dev eth0
      printf '%s' "$out" | sed "s|\\"$mine\\"|\\"10.88.0.2/24\\"|"`,
      TWICE,
    ),
});

/** A program that has nothing to say of a state, and can leave the lock's word that it wrote the file that stands. */
const SILENT =
  `case "$CNI_COMMAND $*" in STATUS*) exit 0 ;; *doctor*) echo '{"findings":[]}'; exit 0 ;; esac
      state=/var/lib/atomicni/podnet.json
      leave_word() {
        printf '\\n%s %s %s\\n' $(stat -c %i $state) $(date -r $state +%s%3N) $(stat -c %s $state) >/var/lib/atomicni/podnet.lock
      }`;

Deno.test({
  name:
    "a careless root: a program that gives addresses by an older state and says nothing is found",
  ignore,
  fn: () =>
    finds(
      carelessRoot,
      `${SILENT}
      # Else the ADD looks who is there.
      [ "$CNI_COMMAND" = ADD ] && [ -f /run/first.json ] && cp /run/first.json $state && leave_word
      "$@"; status=$?
      [ "$CNI_COMMAND" = ADD ] && [ $status = 0 ] && [ ! -f /run/first.json ] && cp $state /run/first.json
      exit $status`,
      TWICE,
    ),
});

Deno.test({
  name:
    "a careless root: a program whose DEL and GC make whole what was put back, and says nothing, is found",
  ignore,
  fn: () =>
    finds(
      carelessRoot,
      `${SILENT}
      case $CNI_COMMAND in DEL | GC) ;; *) exec "$@" ;; esac
      before=$(stat -c %i $state 2>/dev/null)
      "$@"; status=$?
      [ "$(stat -c %i $state 2>/dev/null)" = "$before" ] || leave_word
      exit $status`,
      TWICE,
    ),
});

Deno.test({
  name:
    "a careless root: a program that does not tell a lease of an earlier ADD from its container's is found",
  ignore,
  fn: () =>
    finds(
      carelessRoot,
      // Without the host veth's MAC a lease is of any ADD.
      `${SILENT}
      [ "$CNI_COMMAND" = ADD ] && [ -f $state ] && sed -i 's/"hostMac":"[^"]*"/"hostMac":""/g' $state
      exec "$@"`,
      TWICE,
    ),
});

Deno.test({
  name:
    "a careless root: a program whose DEL does not see that a host veth is still there is found",
  ignore,
  fn: () =>
    finds(
      carelessRoot,
      `[ "$CNI_COMMAND" = DEL ] || exec "$@"
      for it in $(ip -o link show type veth | grep "/$CNI_CONTAINERID/" | sed 's/^[0-9]*: //; s/[@:].*//'); do
        ip link set dev "$it" name "y$CNI_CONTAINERID" && ip link set dev "y$CNI_CONTAINERID" alias ''; done
      exec "$@"`,
      /^one DEL each leaves/,
    ),
});

Deno.test({
  name: "a careless root: a program whose GC takes what it was told to keep is found",
  ignore,
  fn: () =>
    finds(
      carelessRoot,
      `[ "$CNI_COMMAND" = GC ] && sed 's/"containerID":"k0"/"containerID":"k9"/' | "$@" || exec "$@"`,
      /^a GC cuts off another live container/,
    ),
});
