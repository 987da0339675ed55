import { assert, assertEquals, assertMatch } from "@std/assert";
import { breakIp } from "./broken_ip.ts";
import { type CniCall, CONFIG, hostTest, type Mode, MODES, STATE_FOLDER } from "./host.ts";
import { snapshot } from "./snapshot.ts";
import { holdingLock } from "./lock_holder.ts";

/** Not the neighbour's MAC: the state notes the requested one. */
const RANGE = { rangeStart: "10.86.0.100", rangeEnd: "10.86.0.200" };

interface Row {
  /** Shell that replaces `ip`, see `breakIp`. */
  readonly rule?: string;
  readonly prepare?: string;
  readonly call?: CniCall;
  readonly code: number;
  readonly message: RegExp;
}

/** A rule that makes the first matching line of a batch fail, and with it the rest of the batch. */
function failing(line: string): string {
  return `in=$(printf '%s\\n' "$in" | sed 's|^${line}.*|link set dev nosuch up|')`;
}

/**
 * An ADD that fails at one step leaves host, container and state as they were, and a neighbour's traffic
 * undisturbed.
 */
function undoTest(name: string, row: Row, modes: readonly Mode[] = MODES.slice(0, 1)): void {
  hostTest(`undo: ${name}`, async (host) => {
    const { rule, prepare, call, code, message } = row;
    await host.containers("n1", "c1");
    await host.add({ id: "n1" });
    if (prepare !== undefined) await host.sh(prepare);
    if (rule !== undefined) await breakIp(host, rule);
    const before = await snapshot(host);
    const answer = await host.cni("ADD", call);
    assertEquals([answer.code, answer.json?.code], [1, code], answer.stdout);
    assertMatch(`${answer.json.msg}; ${answer.json.details}`, message);
    assertEquals(await snapshot(host), before);
    assert(!answer.stdout.includes("could not"), answer.stdout);
    assert(await host.pings("n1", CONFIG.gateway));
  }, modes);
}

undoTest("the veth can't be created: there is nothing to undo", {
  rule: 'case "$in" in *"link add name av"*" master "*) echo no >&2; exit 2 ;; esac',
  code: 100,
  message: /Cannot attach "av[0-9a-f]{13}" to "atomic0": ip failed with exit status 2; .*: no/,
});

undoTest("the veth is created, its alias is refused", {
  rule: failing("link set dev av[0-9a-f]* alias"),
  code: 100,
  message: /Cannot set up the host veth.*Cannot find device/,
}, MODES);

undoTest("ip is killed after its first command", {
  rule: `case "$in" in *"link add name av"*)
    printf '%s\\n' "$in" | head -n 2 | /run/ip.real -batch -; kill -KILL $$ ;; esac`,
  code: 100,
  message: /Cannot set up the host veth.*ended by SIGKILL/,
});

undoTest("port flags are refused", {
  rule: failing("link set dev av[0-9a-f]* type bridge_slave"),
  call: { config: { ...CONFIG, hairpinMode: true } },
  code: 100,
  message: /Cannot set up the host veth/,
});

undoTest("the veth exists, the bridge has another address", {
  call: { config: { ...CONFIG, name: "other", subnet: "10.99.0.0/24", gateway: "10.99.0.1" } },
  code: 105,
  message: /it has 10\.86\.0\.1\/24/,
});

undoTest("the veth exists, the bridge can't get its address", {
  prepare:
    "ip addr flush dev atomic0; ip addr add 10.86.0.1/32 dev lo; ip route add 10.86.0.0/24 dev atomic0",
  rule: `case "$*$in" in *"addr add 10.86.0.1/24"*) exit 2 ;; esac`,
  code: 100,
  message: /Cannot make the bridge "atomic0"/,
});

undoTest("no address is free", {
  call: { config: { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.2" } } },
  code: 101,
  message: /all are held/,
}, MODES);

undoTest("the requested address is held", {
  call: { args: "IP=10.86.0.2" },
  code: 102,
  message: /"n1\/eth0" holds it/,
});

undoTest("the state can't be written", {
  prepare: `mount -o remount,bind,ro ${STATE_FOLDER}`,
  code: 5,
  message: /Read-only file system/,
});

undoTest("the MAC is refused", {
  rule: failing("link set dev [a-z0-9]* address"),
  code: 100,
  message: /Cannot configure "eth0"/,
});

undoTest("the address is refused", {
  rule: failing("addr add 10.86.0.3/24"),
  code: 100,
  message: /Cannot configure "eth0"/,
}, MODES);

undoTest("a route is refused by the kernel", {
  rule: failing("route add 10.9.0.0/16"),
  call: { config: { ...CONFIG, ipam: { ...RANGE, routes: [{ dst: "10.9.0.0/16" }] } } },
  code: 100,
  message: /Cannot configure "eth0"[^]*route add 10\.9\.0\.0/,
});

undoTest("the neighbour entry can't be flushed", {
  rule: 'case "$in" in "neigh flush"*) echo no >&2; exit 2 ;; esac',
  call: { config: { ...CONFIG, runtimeConfig: { mac: "02:00:00:00:00:07" } } },
  code: 100,
  message: /Cannot flush the neighbours 10\.86\.0\.3/,
});

// The pause lets the signal arrive before `ip` ends.
undoTest("SIGTERM while the veth is created", {
  rule: 'case "$in" in *"link add name av"*) kill -TERM $PPID; sleep 0.3 ;; esac',
  code: 11,
  message: /ended by SIGTERM/,
});

undoTest("SIGINT while the veth is created", {
  rule: 'case "$in" in *"link add name av"*) kill -INT $PPID; sleep 0.3 ;; esac',
  code: 11,
  message: /ended by SIGINT/,
});

undoTest("SIGTERM during the wait for the lock", {
  prepare: holdingLock(5),
  rule:
    `case "$in" in *"link add name av"*) (sleep 0.5; kill -TERM $PPID) >/run/killer 2>&1 & ;; esac`,
  code: 11,
  message: /ended by SIGTERM/,
});

undoTest("SIGTERM while the container is configured", {
  rule: 'case "$in" in *"link set dev "*" address "*) kill -TERM $PPID; sleep 0.3 ;; esac',
  code: 11,
  message: /ended by SIGTERM/,
}, MODES);

hostTest("undo: a failed undo is reported, and the next DEL removes the rest", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c2" });
  await breakIp(
    host,
    `${failing("addr add 10.86.0.3/24")}; case "$*" in "link del"*) echo no >&2; exit 2 ;; esac`,
  );
  const { code, json } = await host.cni("ADD");
  assertEquals([code, json.code], [1, 100]);
  assertMatch(json.msg, /Cannot configure "eth0"/);
  assertMatch(
    json.details,
    /could not remove the host veth "av[0-9a-f]{13}", release the address, the next DEL will: /,
  );
  assertEquals((await host.hostVeths()).length, 2);
  // The veth still answers on the address, so no other container may get it.
  assertEquals(await host.leases(), { "c2/eth0": "10.86.0.2", "c1/eth0": "10.86.0.3" });
  await breakIp(host, "");
  await host.del();
  await host.del({ id: "c2" });
  await host.assertNothingLeft();
});
