import { assert } from "@std/assert";
import { carelessRoot, hostileContainer } from "./changes.ts";
import { REPEATS } from "./limits.ts";
import { SCENARIOS } from "./scenarios.ts";
import { finds, verify } from "./search.ts";
import { SIZE } from "../size.ts";
import { test } from "../both_errors.ts";

for (const property of [carelessRoot, hostileContainer]) {
  test(`property: ${property.name}`, async () => {
    await verify(property);
    for (const what of ["changes by hand", "runs of the program", "ADDs that work"]) {
      const often = property.seen.get(what) ?? 0;
      assert(REPEATS || often >= property.limits.cases, `only ${often} ${what}`);
    }
  });
}

const FOLDER = "/var/lib/atomicni";
/** Prints an error document and ends. */
const fail = (code: number) =>
  `{ echo '{"cniVersion":"1.1.0","code":${code},"msg":"no","details":""}'; exit 1; }`;

/**
 * Programs with one fault each: a script that wraps the right program, the expected complaint, and the scenario
 * that shows it.
 */
const WRONG: readonly (readonly [what: string, script: string, kind: RegExp, name?: string])[] = [
  [
    "a program whose ADD allocates an address that is held",
    `[ "$CNI_COMMAND" = ADD ] && out=$("$@") || { [ -z "$out" ] && exec "$@"; printf '%s' "$out"; exit 1; }
    mine=$(ip -n "$CNI_CONTAINERID" -o -4 addr show dev eth0 | sed 's/.* inet //; s/ .*//')
    ip -n "$CNI_CONTAINERID" addr flush dev eth0
    ip -n "$CNI_CONTAINERID" addr add 10.86.0.2/24 dev eth0
    printf '%s' "$out" | sed "s|\\"$mine\\"|\\"10.86.0.2/24\\"|"`,
    /^an address is allocated twice, and no document said so/,
    "a folder that is restored as a whole",
  ],
  [
    "a program whose repair and GC delete every host veth",
    `case "$CNI_COMMAND $*" in GC* | *repair*) for it in $(ip -o link show type veth | sed 's/^[0-9]*: //; s/[@:].*//')
      do ip link del dev "$it"; done ;; esac; exec "$@"`,
    /^(a GC.*|repair.*) cuts off another live container/,
    "a damaged state",
  ],
  [
    "a program whose ADD takes another container out of the bridge",
    `[ "$CNI_COMMAND" = ADD ] && for it in $(ip -o link show master atomic0 2>/dev/null | sed 's/^[0-9]*: //; s/[@:].*//')
      do ip link set dev "$it" nomaster; done; exec "$@"`,
    /^an ADD takes another live container out of the bridge/,
    "an import without one lease",
  ],
  [
    "a program whose ADD changes another container's MAC",
    `[ "$CNI_COMMAND" = ADD ] && for it in k0 k1 k2; do [ $it = "$CNI_CONTAINERID" ] ||
      ip -n $it link set dev eth0 address 02:00:00:00:00:77 2>/dev/null; done; exec "$@"`,
    /^an ADD changes another container's MAC/,
  ],
  [
    "a program whose DEL only claims success",
    `[ "$CNI_COMMAND" = DEL ] || exec "$@"`,
    /^a DEL succeeds and leaves the veth/,
    "a renamed host veth of a reference container",
  ],
  [
    "a program whose repair only claims success",
    `case "$*" in *repair*) exit 0 ;; esac; exec "$@"`,
    /^repair succeeds, and/,
    "a damaged state",
  ],
  [
    "a program whose ADD leaves other ports out of a bridge that it creates",
    `[ "$CNI_COMMAND" = ADD ] && ! ip link show dev atomic0 >/dev/null 2>&1 || exec "$@"
    out=$("$@"); status=$?
    for it in $(ip -o link show master atomic0 | sed 's/^[0-9]*: //; s/[@:].*//'); do
      case "$out" in *$it*) ;; *) ip link set dev "$it" nomaster ;; esac; done
    printf '%s' "$out"; exit $status`,
    /^an ADD works, and a container of its network stays out/,
    "two networks on a bridge that was removed",
  ],
  [
    "a program whose STATUS never reports a fault",
    `[ "$CNI_COMMAND" = STATUS ] || exec "$@"`,
    /^STATUS says 0, but the ADD ends/,
    "a full disk",
  ],
  [
    "a program whose STATUS always reports a fault",
    `[ "$CNI_COMMAND" = STATUS ] && ${fail(50)}; exec "$@"`,
    /^STATUS says 1: no, but the ADD works/,
  ],
  [
    "a program whose doctor always reports a fault",
    `case "$*" in *doctor*) echo '{"findings":[]}'; exit 2 ;; esac; exec "$@"`,
    /^doctor says 2: , but the ADD works/,
  ],
  [
    "a program whose STATUS reports an ADD in progress as damage",
    `[ "$CNI_COMMAND" = STATUS ] && ls ${FOLDER}/.*.add >/dev/null 2>&1 && ${fail(50)}; exec "$@"`,
    /^next to ADDs, STATUS or doctor reports a fault/,
    "readers next to ADDs",
  ],
  [
    "a program whose ADD fails because of another container",
    `[ "$CNI_COMMAND $CNI_CONTAINERID" = "ADD k1" ] && ${fail(104)}; exec "$@"`,
    /^nothing was done by hand, and the ADD ends with 104/,
    "a range of one container's own",
  ],
  [
    "a program whose import reports every lease as dead",
    `case "$*" in *import*) "$@" | sed 's/"proved":\\[.*\\],"possible":\\[\\],"dead":\\[/"proved":[],"possible":[],"dead":[{"owner":"k1","addresses":["10.86.0.3"]}/'
      exit 0 ;; esac; exec "$@"`,
    /^import says that no container has an address that one has/,
    "an import without one lease",
  ],
  [
    "a program whose import accepts any folder",
    `case "$*" in *import*) echo '{"proved":[],"possible":[],"dead":[]}'; exit 0 ;; esac; exec "$@"`,
    /^import succeeds, and does not name a live container without a lease/,
    "an import without one lease",
  ],
  [
    "a program whose failed runs back up the state each time",
    `"$@"; status=$?; [ $status = 0 ] || cp ${FOLDER}/podnet.json ${FOLDER}/podnet.json.damaged-$$ 2>/dev/null ||
      ln ${FOLDER}/podnet.json ${FOLDER}/podnet.json.damaged-$$ 2>/dev/null; exit $status`,
    /that fails again leaves another file/,
    "a damaged state on a full disk",
  ],
  [
    "a program whose DEL keeps the lease",
    `[ "$CNI_COMMAND" = DEL ] || exec "$@"
    cp -p ${FOLDER}/podnet.json /run/kept.json 2>/dev/null; "$@"; status=$?
    [ ! -s /run/kept.json ] || cp -p /run/kept.json ${FOLDER}/podnet.json; exit $status`,
    /^one DEL each leaves a lease/,
  ],
];

/** The short form runs every second wrong program. */
function some<T>(programs: readonly T[]): readonly T[] {
  return programs.filter((_, index) => SIZE === "full" || index % 2 === 0);
}

for (const [what, script, kind, name] of some(WRONG)) {
  const from = Math.max(0, SCENARIOS.findIndex((it) => it.name === name));
  test({
    name: `a careless root: ${what} is found`,
    ignore: REPEATS,
    fn: () => finds(carelessRoot, script, kind, from),
  });
}

/** A program that trusts a container, and the case that shows it if one is known. */
type Trusting = readonly [what: string, script: string, kind: RegExp, from?: number];

const TRUSTING: readonly Trusting[] = [
  [
    "a program whose repair trusts containers more than the state",
    `case "$*" in *repair*) rm -f ${FOLDER}/podnet.json ;; esac; exec "$@"`,
    /^repair.*: the lease of another attachment is gone or moved/,
    1,
  ],
  [
    "a program whose GC decides by the inside of a container",
    `[ "$CNI_COMMAND" = GC ] && for name in $(ip -n k1 -o link | sed 's/^[0-9]*: //; s/[@:].*//'); do
      case $name in av*) ip link del dev "$name" 2>/dev/null ;; esac; done; exec "$@"`,
    /^a GC.*: the (lease|host veth) of another attachment is gone/,
  ],
  [
    "a program whose DEL removes the guard of others",
    `"$@"; status=$?
    [ "$CNI_COMMAND" = DEL ] && ip neigh flush dev atomic0 nud permanent 2>/dev/null
    exit $status`,
    /^a DEL: a guarded neighbour of another is gone/,
    10,
  ],
  [
    "a program whose list trusts a container about an address",
    `case "$*" in *list*) ;; *) exec "$@" ;; esac
    out=$("$@"); for ip in $(ip -n k1 -o -4 addr | sed 's/.* inet //; s|/.*||'); do
      out=$(printf '%s' "$out" | sed "s|\\"containerId\\":\\"k[023]\\"\\([^{}]*\\"address\\":\\"$ip\\"\\)|\\"containerId\\":\\"k1\\"\\1|"); done
    printf '%s\\n' "$out"`,
    /^list says something else of another/,
  ],
];

for (const [what, script, kind, from] of some(TRUSTING)) {
  test({
    name: `a hostile container: ${what} is found`,
    ignore: REPEATS,
    fn: () => finds(hostileContainer, script, kind, from),
  });
}
