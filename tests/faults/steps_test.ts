import { assert, assertEquals } from "@std/assert";
import { breakIp } from "../integration/broken_ip.ts";
import { type Answer, type CniCall, CONFIG, Host, type Json } from "../integration/host.ts";
import { addressesOf, allAddresses, DUAL, GUARDED, permanent, portGuard } from "./dual.ts";
import { recordFault } from "./fault.ts";
import { SIZE } from "../size.ts";
import { test } from "../both_errors.ts";

/** A replacement of `ip`: counts its calls and performs the fault in /run/fault at one call. */
const RULE = `
[ -d /run/calls ] || mkdir -p /run/calls
set -C; n=1; until { true >/run/calls/$n; } 2>>/run/null; do n=$((n + 1)); done; set +C
real() { case " $* " in *' -batch '*) printf '%s\\n' "$in" | /run/ip.real "$@" ;; *) /run/ip.real "$@" ;; esac; }
at=0; [ -e /run/fault ] && read -r at kind </run/fault
if [ "$n" = "$at" ]; then case $kind in
  fails) echo 'RTNETLINK answers: told to' >&2; exit 2 ;;
  done-fails) real "$@"; exit 2 ;;
  half) in=$(printf '%s\\n' "$in" | head -n 1); real "$@"; exit 1 ;;
  killed) kill -KILL $$ ;;
  done-killed) real "$@"; kill -KILL $$ ;;
  garbage) real "$@" >/run/null; echo '<html>what it printed</html>'; exit 0 ;;
  hangs) exec sleep 100 ;;
  done-hangs) real "$@" >/run/null; exec sleep 100 ;;
  held) real "$@"; sleep 20 & exit 0 ;;
esac; fi`;

const KINDS = ["fails", "done-fails", "half", "killed", "done-killed", "garbage"];
const FEWER = ["half", "done-killed"];

interface Row {
  readonly name: string;
  readonly command: string;
  readonly call?: CniCall;
  /** Prepares a host on which c2 is attached, or an empty host, and returns more settings of the call. */
  readonly prepare: (host: Host) => Promise<CniCall | void>;
  readonly alone?: boolean;
  /** Uses the guarded network of both families instead of the usual network. */
  readonly network?: typeof DUAL;
  /** The short form takes every second `ip`: the row has many, and most are those of another row. */
  readonly isLong?: boolean;
}

const guarded = async (host: Host) => {
  await host.add({ id: "c1", config: DUAL });
};
const VALID = { "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }] };
const ROWS: readonly Row[] = [
  {
    name: "ADD without a bridge",
    command: "ADD",
    alone: true,
    prepare: async (host) => {
      await host.run(["ip", "link", "del", "dev", CONFIG.bridge]);
    },
  },
  {
    name: "ADD with its interface in another namespace",
    command: "ADD",
    prepare: async (host) => {
      await host.add({ id: "c1", netns: "old" });
    },
  },
  {
    name: "ADD of a MAC",
    command: "ADD",
    call: { config: { ...CONFIG, runtimeConfig: { mac: "02:00:00:00:00:07" } } },
    prepare: () => Promise.resolve(),
  },
  {
    name: "CHECK",
    command: "CHECK",
    prepare: async (host) => ({
      config: { ...CONFIG, prevResult: await host.add({ id: "c1" }) },
    }),
  },
  {
    name: "GC without a list",
    command: "GC",
    prepare: async (host) => {
      await host.add({ id: "c1" });
      const [{ ifname }] = (await host.ip("", "link", "show", "type", "veth"))
        .filter(({ ifalias }) => ifalias === "podnet/c1/eth0");
      await host.run(["ip", "link", "del", "dev", ifname]);
    },
  },
  { name: "STATUS", command: "STATUS", prepare: () => Promise.resolve() },
  {
    name: "guarded dual-stack ADD",
    command: "ADD",
    call: { config: DUAL },
    network: DUAL,
    prepare: () => Promise.resolve(),
  },
  {
    name: "guarded dual-stack DEL",
    command: "DEL",
    call: { config: DUAL },
    network: DUAL,
    prepare: guarded,
  },
  {
    name: "guarded dual-stack GC with a list",
    command: "GC",
    call: { config: { ...DUAL, ...VALID } },
    network: DUAL,
    prepare: guarded,
  },
  {
    name: "guarded dual-stack ADD that makes the bridge again",
    command: "ADD",
    isLong: true,
    call: { config: DUAL },
    network: DUAL,
    prepare: async (host) => {
      await host.run(["ip", "link", "del", "dev", DUAL.bridge]);
    },
  },
];

interface Seen {
  readonly veths: readonly string[];
  /** Permanent neighbours on the bridge. */
  readonly neighbours: readonly string[];
  readonly inside: Json;
  readonly leases: Json;
}

/** The part of the host that a failed ADD must leave unchanged. */
async function look(host: Host): Promise<Seen> {
  const inside: Record<string, Json> = {};
  for (const name of ["c1", "c2"]) {
    inside[name] = (await host.ip(name, "addr", "show")).map(({ ifname, addr_info }) => [
      ifname,
      (addr_info ?? []).map((it: Json) => it.local).filter((it: string) => !it.startsWith("fe80:")),
    ]);
  }
  const veths = (await host.ip("", "link", "show", "type", "veth")).map((it) =>
    `${it.ifname} ${it.address} ${it.ifalias}`
  );
  assertEquals((await host.files()).filter((it) => it.endsWith(".tmp")), [], "a temporary is left");
  const neighbours = await permanent(host, "", CONFIG.bridge);
  return { veths, neighbours, inside, leases: await host.leases() };
}

async function madeHost(row: Row): Promise<Host> {
  const host = await Host.create();
  await host.containers("c1", "c2", "old");
  await host.sh(": >/run/null");
  if (!row.alone) await host.add({ id: "c2", config: row.network ?? CONFIG });
  await breakIp(host, RULE);
  return host;
}

/** Runs the row's command with a fault at the n-th `ip`. Returns the answer and whether there was an n-th. */
async function faulty(
  host: Host,
  { command, call }: Row,
  more: CniCall | void,
  n: number,
  kind: string,
): Promise<[Answer, boolean]> {
  await host.sh(`rm -rf /run/calls; echo ${n} ${kind} >/run/fault`);
  const answer = await host.cni(command, { ...call, ...more });
  const { code } = await host.run(["test", "-e", `/run/calls/${n}`]);
  await host.sh("rm -f /run/fault");
  return [answer, code === 0];
}

/** Checks the host after the fault. Then one DEL must remove all of c1 and leave c2 unchanged. */
async function judge(host: Host, row: Row, answer: Answer, before: Seen): Promise<void> {
  const { code, json, stderr } = answer;
  const said = `${json?.msg} ${json?.details}`;
  // A run that cannot put another port into a new bridge again, or set the MAC of the bridge in its container, warns and continues.
  if (code === 0) assert(stderr === "" || /(could|did) not (put|set)/.test(stderr), stderr);
  else assert([8, 11, 50, 100, 103, 105, 106].includes(json?.code), `code ${json?.code}: ${said}`);
  const after = await look(host);
  const own = (seen: Seen) => seen.veths.filter((it) => !it.endsWith("podnet/c2/eth0"));
  for (const id of ["c1", "c2"]) {
    const held = addressesOf(after.leases[`${id}/eth0`]);
    for (const ip of await allAddresses(host, id, "eth0")) assert(held.includes(ip), said);
  }
  if (["STATUS", "CHECK"].includes(row.command)) assertEquals(after, before);
  else if (code !== 0 && row.command === "ADD" && !said.includes("the next DEL will")) {
    // A veth from a killed run may be gone, because it had no owner.
    if (own(before).length > 0) assertEquals(after.inside, before.inside, said);
    // The ADD may have restored the neighbours of the attachment without a bridge before it failed.
    else assertEquals({ ...after, neighbours: [] }, { ...before, neighbours: [] }, said);
  } else if (code === 0 && row.command === "DEL") {
    assertEquals(own(after), []);
  } else if (code === 0 && row.command === "ADD") {
    assertEquals((await allAddresses(host, "c1", "eth0")).length, row.network ? 2 : 1);
    if (row.network) assertEquals(await portGuard(host, "c1"), GUARDED);
  }
  await host.del({ id: "c1", config: row.network ?? CONFIG });
  const left = await look(host);
  assertEquals(own(left), [], "a DEL leaves a veth");
  assertEquals(Object.keys(left.leases), row.alone ? [] : ["c2/eth0"], "a DEL leaves a lease");
  assertEquals(left.inside.c2, before.inside.c2);
  assertEquals(left.inside.c1, [["lo", ["127.0.0.1", "::1"]]], "c1 is as it was made");
  assertEquals((await host.files()).filter((it) => it.endsWith(".add")), [], "a mark is left");
  // The attachment that lost its bridge is a port of the new bridge, or `repair` makes it one.
  if (row.name.includes("makes the bridge again")) {
    await host.add({ id: "c1", config: DUAL });
    await host.del({ id: "c1", config: DUAL });
    await host.program(["repair", "--json"], JSON.stringify(DUAL));
  }
  if (row.network) {
    assertEquals(await permanent(host, "", CONFIG.bridge), addressesOf(left.leases["c2/eth0"]));
    assertEquals(await portGuard(host, "c2"), GUARDED);
  }
}

async function everyStep(row: Row, kinds: readonly string[]): Promise<number> {
  await using host = await madeHost(row);
  let tries = 0;
  for (let n = 1;; n += isThinned(row) ? 2 : 1) {
    for (const kind of kinds) {
      const more = await row.prepare(host);
      const before = await look(host);
      const [answer, reached] = await faulty(host, row, more, n, kind);
      try {
        await judge(host, row, answer, before);
        // STATUS needs the second call to succeed and the third to be refused. It ignores their other output.
        const isNoticed = n === 1 || n === 2 && kind !== "garbage";
        if (reached && row.command === "STATUS" && isNoticed) assertEquals(answer.json?.code, 50);
      } catch (error) {
        const report = `${answer.stdout}${await host.report()}`;
        throw new Error(`${row.name}, ${kind} at ip ${n}: ${error}\n${report}`, { cause: error });
      }
      if (!reached) return tries;
      tries++;
    }
  }
}

function isThinned({ isLong = false }: Row): boolean {
  return isLong && SIZE === "short";
}

for (const row of ROWS) {
  const usual = ["CHECK", "guarded dual-stack ADD", "guarded dual-stack DEL"];
  const isUsual = usual.includes(row.name);
  const kinds = SIZE === "full" ? KINDS : isUsual ? FEWER : ["fails"];
  const which = isThinned(row) ? "every second ip" : "each ip";
  test(`steps: ${row.name}: ${which} in turn: ${kinds.join(", ")}`, async () => {
    const tries = await everyStep(row, kinds);
    assert(tries > 0, "no ip was run");
    recordFault({
      fault: `${row.name}: each \`ip\` in turn (${kinds.join(", ")})`,
      tries,
      outcome: "rolled back or reported; one DEL and nothing is left",
    });
  });
}

test("steps: an ip that hangs is ended after 15 s", async () => {
  const rows = ROWS.filter(({ isLong }) => !isLong);
  const places = rows.flatMap((row) =>
    (SIZE === "full"
      ? [1, 2, 3]
      : row.name === "guarded dual-stack ADD"
      ? [1, 2]
      : row.name === "guarded dual-stack DEL"
      ? [1]
      : [])
      .flatMap((n) =>
        (SIZE === "full"
          ? ["hangs", "done-hangs", "held"]
          : row.name === "guarded dual-stack DEL"
          ? ["done-hangs", "held"]
          : [n === 1 ? "done-hangs" : "hangs"]).map((kind) => ({ row, n, kind }))
      )
  );
  const tries = await Promise.all(places.map(async ({ row, n, kind }) => {
    await using host = await madeHost(row);
    const more = await row.prepare(host);
    const before = await look(host);
    const [answer, reached] = await faulty(host, row, more, n, kind);
    if (!reached) return 0;
    assertEquals(answer.json?.code, 11, `${row.name}, ${kind} at ip ${n}: ${answer.stdout}`);
    await judge(host, row, answer, before);
    return 1;
  }));
  recordFault({
    fault: "an `ip` that hangs, before or after it did its work, or whose output is held open",
    tries: tries.reduce<number>((sum, it) => sum + it, 0),
    outcome: "code 11 after 15 s; rolled back or reported; one DEL and nothing is left",
  });
});
