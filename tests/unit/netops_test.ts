import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { CniError } from "../../lib/base/errors.ts";
import { parseIp } from "../../lib/base/address.ts";
import { freshHostMac } from "../../lib/base/mac.ts";
import { parseInterfaceName } from "../../lib/base/names.ts";
import { openKernel, planBridge, type RunIp, type VethSpec } from "../../lib/netops.ts";
import { Rollback } from "../../lib/rollback.ts";
import { answer, failure, recorder } from "./netops/answers.ts";
import { BR0 } from "./netops/br0.ts";

const SPEC: VethSpec = {
  bridge: BR0,
  host: parseInterfaceName("av0123456789abc"),
  hostMac: freshHostMac(true),
  alias: "podnet/c1/eth0",
  netns: "/run/netns/c1",
  ifname: parseInterfaceName("eth0"),
  group: 70000,
  hairpin: true,
  isolated: false,
  guarded: false,
};
const VETH = {
  ifindex: 7,
  ifname: SPEC.host,
  address: SPEC.hostMac,
  link_netnsid: 0,
  link_index: 2,
  linkinfo: { info_kind: "veth" },
  mtu: 1500,
};
const BRIDGE = {
  ifindex: 3,
  ifname: "br0",
  address: BR0.mac,
  flags: ["UP"],
  linkinfo: { info_kind: "bridge" },
  addr_info: [{ family: "inet", local: "10.86.0.1", prefixlen: 24 }],
};
const MADE = [BRIDGE, VETH, BRIDGE].map((it) => `${JSON.stringify([it])}\n`).join("");

function open(run: RunIp) {
  return openKernel(undefined, run);
}

Deno.test("attach() reports the network's veths without a bridge, if ip can select them", async () => {
  const group = String(SPEC.group);
  const others = [{ ...VETH, ifname: "av1", group }, { ...VETH, ifname: "av2", group: "7" }];
  const rows: [string, boolean, string[]][] = [
    [`${JSON.stringify([{ ...VETH, group }, ...others])}\n`, true, ["av1"]],
    ["", false, []],
  ];
  for (const [last, success, lost] of rows) {
    const output = success
      ? answer(MADE + last)
      : failure('Device "nomaster" does not exist.', MADE);
    const { run } = recorder(() => output);
    const made = await open(run).attach(SPEC, new Rollback());
    assert(made.kind === "made");
    assertEquals(made.lost.map(({ ifname }) => ifname), lost);
  }
});

Deno.test("attach() that ran out of time removes the veth if this run created it", async () => {
  const rows: [string, string[]][] = [
    [SPEC.hostMac, ["-d -j addr show", "link del dev if7"]],
    [freshHostMac(true), ["-d -j addr show"]],
  ];
  // A bridge without a fixed MAC takes that of its only port.
  const bridge = { ...BRIDGE, address: SPEC.hostMac };
  for (const [mac, undone] of rows) {
    const { calls, run } = recorder((args) =>
      answer(args.includes("show") ? [bridge, { ...VETH, address: mac }] : "")
    );
    const overdue: RunIp = (args, stdin) =>
      stdin === undefined
        ? run(args, stdin)
        : Promise.reject(new CniError("TryAgainLater", "Cannot wait longer", "a remedy"));
    const undo = new Rollback();
    const attach = () => open(overdue).attach(SPEC, undo);
    const error = await undo.run(await assertRejects(attach, CniError, "Cannot wait longer"));
    assertEquals([error.code, error.details], [11, "a remedy"]);
    assertEquals(calls, undone);
  }
});

Deno.test("an existing host veth of any owner is never replaced, and nothing changes", async () => {
  const cut = `podnet/${"c".repeat(248)}`;
  const rows: [object, string, string, string?][] = [
    [{ ifalias: cut }, 'belongs to "podnet/ccc', "DEL it first", cut],
    [{ ifalias: "web/front podnet/c1/eth0" }, "podnet/c1/eth0", "DEL it first"],
    [
      { ifalias: SPEC.alias },
      `belongs to "podnet/c1/eth0"; its other end is interface 2 of namespace 0`,
      "DEL it first",
    ],
    [
      { ifalias: "web/front podnet/c9/eth0" },
      `belongs to "web/front podnet/c9/eth0"`,
      "another ID",
    ],
    [{}, "it exists and has no alias", "DEL it first"],
    [{ link_netnsid: undefined }, "its other end is in the host's own namespace", "DEL it first"],
  ];
  for (const [changes, message, details, alias = SPEC.alias] of rows) {
    const existing = { ...VETH, address: "fe:99:00:00:00:00", ...changes };
    const { calls, run } = recorder((args) => {
      if (args.includes("batch")) return failure("File exists", `${JSON.stringify([BRIDGE])}\n`);
      return answer(args.startsWith("-n") ? [{ ifname: "lo", ifindex: 1 }] : [BRIDGE, existing]);
    });
    const undo = new Rollback();
    const attach = () => open(run).attach({ ...SPEC, alias }, undo);
    const error = await assertRejects(attach, CniError, message);
    assertEquals(error.code, 103);
    assertStringIncludes(error.details, details);
    await undo.run(error);
    assertEquals(
      calls.filter((call) => / (del|set|add) /.test(call)).length,
      1,
      "a command besides the batch changed something",
    );
  }
});

Deno.test("attach() reports an existing interface in the container, and changes no bridge", async () => {
  const inside = [{ ifname: "lo", ifindex: 1 }, { ifname: "eth0", ifindex: 2 }];
  const taken = recorder((args) => {
    if (args.includes("batch")) return failure("File exists", `${JSON.stringify([BRIDGE])}\n`);
    return answer(args.startsWith("-n") ? inside : [BRIDGE]);
  });
  const attach = (run: RunIp) => open(run).attach(SPEC, new Rollback());
  const error = await assertRejects(() => attach(taken.run), CniError);
  assertEquals([error.code, error.message.includes('Cannot make "eth0"')], [103, true]);
  const missing = recorder((args) => {
    if (args.includes("batch")) return failure("Cannot find device");
    return answer(args.startsWith("-n") ? inside.slice(0, 1) : []);
  });
  const refused = await attach(missing.run);
  assert(refused.kind === "refused");
  assertEquals(refused.bridge, undefined);
  assertStringIncludes(refused.why.message, "Cannot attach");
  assertEquals(missing.calls.some((call) => call.includes("link add name br0")), false);
});

Deno.test("ensureBridge() accepts a bridge that matches after the fourth try, and no later", async () => {
  for (const needed of [4, 5]) {
    let tries = 0;
    const { run } = recorder((args, stdin) => {
      if (stdin?.includes("type bridge")) return ++tries < needed ? failure("busy") : answer();
      return answer(args.includes("show") && tries >= needed ? [BRIDGE] : []);
    });
    const ensuring = open(run).ensureBridge(SPEC, planBridge(BR0, undefined), new Rollback());
    if (needed === 4) assertEquals((await ensuring).bridge.ifname, "br0");
    else await assertRejects(() => ensuring, CniError, 'make the bridge "br0"');
  }
});

Deno.test("detach() removes the veth with that name and MAC only", async () => {
  const show = `link show dev ${SPEC.host}\n`;
  const remove = `${show}link set dev if${VETH.ifindex}\nlink del dev ${SPEC.host}\n`;
  const shower = (shown: unknown[] | undefined, removed = answer()) =>
    recorder((_, stdin) => {
      if (stdin === remove) return removed;
      return stdin === show && shown === undefined ? failure() : answer(shown);
    });
  const detach = (run: RunIp) => open(run).detach(SPEC.host, SPEC.hostMac);
  const own = shower([VETH]);
  assertEquals((await detach(own.run))?.ifname, SPEC.host);
  assertEquals(own.calls.length, 2);
  assertStringIncludes(own.calls[1] ?? "", remove.trim().replaceAll("\n", "\n  "));
  const others = [undefined, [], [{ ...VETH, address: BR0.mac }], [{ ...VETH, ifname: "if7" }]];
  for (const shown of others) {
    const { run, calls } = shower(shown);
    assertEquals(await detach(run), undefined, JSON.stringify(shown));
    assertEquals(calls.length, 1);
  }
  const stays = shower([VETH], failure("no"));
  const error = await assertRejects(() => detach(stays.run), CniError, "Cannot remove");
  assertEquals(error.code, 100);
});

Deno.test("an interface is selected by its name, even if the name looks like an index", async () => {
  const other = { ifindex: 3, ifname: "eth9" };
  const { run } = recorder(() => answer([other]));
  // ip takes if3 as the interface of index 3 if no interface has that name.
  assertEquals(await open(run).link("if3"), undefined);
  assertEquals((await open(run).link("eth9"))?.ifindex, 3);
  const existing = { ...VETH, ifindex: 7 };
  const named = { ...VETH, ifindex: 9, ifname: "if7" };
  const rows: [object[], string[]][] = [
    [[existing], ["link del dev if7"]],
    // Another link is named like the index, so the name is the safe choice.
    [[existing, named], [`link del dev ${SPEC.host}`]],
    [[{ ...existing, ifindex: 8 }], []],
    [[], []],
  ];
  for (const [links, removed] of rows) {
    const { calls, run } = recorder((args) => answer(args.includes("show") ? links : ""));
    const kernel = open(run);
    const [seen] = await open(recorder(() => answer([existing])).run).view(() => false);
    if (seen !== undefined) await kernel.remove(seen.link);
    assertEquals(calls.filter((call) => call.startsWith("link del")), removed);
  }
});

Deno.test("flushNeighbours() succeeds if the bridge does not exist", async () => {
  const ips = [parseIp("10.86.0.2"), parseIp("fd00::2")];
  const failing = (links: unknown[]): RunIp => (_args, stdin) =>
    Promise.resolve(stdin === undefined ? answer(links) : failure());
  await open(failing([])).flushNeighbours(BR0.name, ips);
  const stays = () => open(failing([BRIDGE])).flushNeighbours(BR0.name, ips);
  assertEquals((await assertRejects(stays, CniError, "flush the neighbours")).code, 100);
  const { calls, run } = recorder();
  await open(run).flushNeighbours(BR0.name, []);
  assertEquals(calls, []);
});

Deno.test("flushNeighbours() succeeds if only new entries appear while it flushes", async () => {
  const ips = [parseIp("10.86.0.2"), parseIp("fd00::2")];
  const line = "*** Flush not complete bailing out after 10 rounds\n";
  const flush = (stdout: string, stderr: string) => {
    const failed = { ...failure(stderr), status: 1, stdout };
    const run: RunIp = (_, stdin) => Promise.resolve(stdin ? failed : answer([BRIDGE]));
    return open(run).flushNeighbours(BR0.name, ips);
  };
  await flush(line, "Command failed -:1\n");
  await flush(line.repeat(2), "Command failed -:1\nCommand failed -:2\n");
  const other = "RTNETLINK answers: Operation not permitted\nCommand failed -:2\n";
  for (const [stdout, stderr] of [["", other], [line, `Command failed -:1\n${other}`]] as const) {
    await assertRejects(() => flush(stdout, stderr), CniError, "flush the neighbours");
  }
});

Deno.test("forwarding() reads both families, and the default if the bridge is missing", async () => {
  const rows: [unknown, string, unknown][] = [
    [[{ interface: "br0", forwarding: true }], "inet6 all forwarding on x\n", [true, true]],
    [[{ interface: "default", forwarding: false }], "ipv6 dev all forwarding off\n", [
      false,
      false,
    ]],
    [[{ interface: "br1", forwarding: true }], "", [undefined, undefined]],
    [[], "inet6 default forwarding on\n", [undefined, true]],
  ];
  for (const [four, six, expected] of rows) {
    const { run } = recorder((args) => args.startsWith("-4") ? answer(four) : answer(six));
    const { ipv4, ipv6 } = await open(run).forwarding(BR0.name);
    assertEquals([ipv4, ipv6], expected);
  }
});
