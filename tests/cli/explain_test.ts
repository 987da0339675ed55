import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ago } from "../../lib/cli/wording.ts";
import { CODES } from "../../lib/cli/codes.ts";
import { CONFIG, hostTest, type Json, STATE_FOLDER } from "../integration/host.ts";

const POD = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web";

hostTest(
  "explain finds an attachment by address, veth, pod and the start of its container ID",
  async (host) => {
    const id = "c1a2b3c4d5e6f708192a3b4c5d6e7f80";
    await host.containers("c1");
    const added = await host.add({ id, netns: "c1", args: POD });
    const veth = added.interfaces[1].name;
    for (const what of ["10.86.0.2", veth, id, id.slice(0, 6), "default/web", "web"]) {
      const { code, stdout } = await host.program(["explain", what], "");
      assertEquals(code, 0, what);
      assertStringIncludes(
        stdout,
        `10.86.0.2 in network "podnet" belongs to container ${id} (pod default/web), interface eth0.`,
      );
      assertStringIncludes(stdout, "with MAC 0a:58:0a:56:00:02");
      assertStringIncludes(stdout, "Its state is live: ");
      assertStringIncludes(stdout, `Its host veth ${veth} is a port of atomic0, up`);
    }
    const { json } = await host.program(["explain", "web", "--json"], "");
    assertEquals(json.attachments[0].containerId, id);
    // The lease's pod, whatever root wrote into the alias.
    await host.sh(`ip link set dev ${veth} alias 'other/pod podnet/${id}/eth0'`);
    const aliased = await host.program(["explain", id, "--json"], "");
    assertEquals(aliased.json.attachments[0].pod, "default/web");

    await host.sh(`ip link set dev ${veth} nomaster down`);
    const loose = await host.program(["explain", "web"], "");
    assertStringIncludes(loose.stdout, "is in no bridge, down");
    await host.sh(`ip link del dev ${veth}`);
    const stale = await host.program(["explain", "web"], "");
    assertStringIncludes(stale.stdout, "Its state is stale");
    assertStringIncludes(stale.stdout, "atomicni repair");
  },
);

hostTest(
  "explain takes a MAC of either end, a veth, a bridge, a pod, or an address",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "aa11", netns: "c1", args: POD });
    const second = { ...CONFIG, name: "other", bridge: "br1" };
    const { interfaces } = await host.add({
      id: "aa22",
      netns: "c2",
      args: POD.replace("web", "db"),
      config: { ...second, subnet: "10.87.0.0/24", gateway: "10.87.0.1" },
    });
    const [bridge, veth, inside] = interfaces;
    const rows: readonly [string, readonly string[]][] = [
      ["aa", ["aa11", "aa22"]],
      ["aa2", ["aa22"]],
      ["db", ["aa22"]],
      ["default/db", ["aa22"]],
      // As errors name an attachment.
      ["aa22/eth0", ["aa22"]],
      ["other/aa22/eth0", ["aa22"]],
      ["10.87.0.2", ["aa22"]],
      ["10.87.0.2/24", ["aa22"]],
      [veth.name, ["aa22"]],
      [veth.mac, ["aa22"]],
      [inside.mac, ["aa22"]],
      [inside.mac.toUpperCase(), ["aa22"]],
      [bridge.name, []],
    ];
    for (const [what, expected] of rows) {
      const { code, json, stdout } = await host.program(["explain", what, "--json"], "");
      assertEquals(code, 0, `${what}: ${stdout}`);
      assertEquals(json.attachments.map((it: Json) => it.containerId).sort(), expected, what);
    }
    const { stdout } = await host.program(["explain", "br1"], "");
    assertStringIncludes(stdout, "Networks on it: other (atomicni list other).");
    // Without a state file only the port says which bridge the network has.
    const { cniVersion, type } = CONFIG;
    const config = { cniVersion, type, name: "frames", bridge: "br1", ipam: {} };
    await host.add({ id: "aa33", netns: "c1", ifname: "eth1", config });
    const both = await host.program(["explain", "br1"], "");
    assertStringIncludes(both.stdout, "Networks on it: frames, other (");
    // Each attachment has the state of its own bridge.
    await host.sh("ip link set dev br1 down");
    const states = async (id: string) =>
      (await host.program(["explain", id, "--json"], "")).json.attachments[0].state;
    assertEquals([await states("aa11"), await states("aa22")], ["live", "cut off"]);
  },
);

hostTest(
  "explain takes an error as a number, with a word, as a document, and in a log line",
  async (host) => {
    await host.containers("c1");
    const config = { ...CONFIG, subnet: "10.86.0.0/30" };
    await host.add({ config });
    const { stdout: document } = await host.cni("ADD", {
      id: "c9",
      netns: "c1",
      ifname: "eth1",
      config,
    });
    const { msg, details } = JSON.parse(document);
    const meaning = `Code 101: ${CODES[101][0]}`;
    for (
      const args of [["101"], ["error", "101"], ["error 101"], ["Code: 101"], ["error code 101"]]
    ) {
      const { code, stdout } = await host.program(["explain", ...args], "");
      assertEquals(code, 0, args.join(" "));
      assertEquals(stdout.split("\n")[0], meaning);
    }
    for (
      const text of [document, `level=error msg="ADD failed" ${document}`, `{"error":${document}}`]
    ) {
      const { code, stdout } = await host.program(["explain"], text);
      assertEquals(code, 0, text);
      assertStringIncludes(stdout, meaning);
      assertStringIncludes(stdout, `> ${msg}\n`);
      assertStringIncludes(stdout, `> ${details}\n`);
    }
    const brief = await host.program(["explain"], '{"code":101,"details":""}');
    assertEquals(brief.stdout.match(/^ *>/m), null, brief.stdout);
    for (
      const [args, stdin, expected] of [
        [[], "", "Cannot explain nothing"],
        [[], "{}", 'No network has an attachment of "{}"'],
        [["two", "words"], "", "it is not one word"],
        [["error", "998"], "", "it is not a code of this plugin"],
      ] as const
    ) {
      const { code, stdout, stderr } = await host.program(["explain", ...args], stdin);
      assert(code !== 0, stdout);
      assertStringIncludes(stdout + stderr, expected);
    }
    // A container with exactly that ID is shown too.
    await host.containers("101");
    await host.add({ id: "101", config: { ...CONFIG, name: "other", bridge: "br1" } });
    const both = await host.program(["explain", "101"], "");
    assertStringIncludes(both.stdout, meaning);
    assertStringIncludes(both.stdout, "belongs to container 101,");
  },
);

hostTest("explain describes an address without a lease", async (host) => {
  await host.containers("c1");
  const config = { ...CONFIG, ipam: { rangeStart: "10.86.0.10", rangeEnd: "10.86.0.20" } };
  await host.add({ config });
  const rows: [string, string][] = [
    ["10.86.0.1", "the gateway"],
    ["10.86.0.0", "the network address"],
    ["10.86.0.255", "the broadcast address"],
    ["10.86.0.5", "outside the range of its addresses"],
    ["10.86.0.15", "it is free"],
    ["192.0.2.1", "No network has allocated 192.0.2.1"],
    ["nobody", 'No network has an attachment of "nobody"'],
    ["av0123456789abc", "No interface of that name exists"],
  ];
  for (const [what, expected] of rows) {
    const { code, stdout } = await host.program(["explain", what], "");
    assertEquals(code, 1, what);
    assertStringIncludes(stdout, expected);
  }
  await host.sh(`rm ${STATE_FOLDER}/podnet.json`);
  const [veth = ""] = await host.hostVeths();
  const left = await host.program(["explain", veth], "");
  assertStringIncludes(left.stdout, 'in network "podnet" belongs to container c1, interface eth0.');
  assertStringIncludes(left.stdout, "its DEL, or a GC, removes it");
  assert(!left.stdout.includes("link del"), left.stdout);
});

hostTest("explain shows a network by name, and other objects with that name", async (host) => {
  await host.containers("c1", "c2");
  const added = await host.add({ id: "c1" });
  await host.add({ id: "c2" });
  await host.sh(`ip link del dev ${added.interfaces[1].name}`);
  const { code, stdout } = await host.program(["explain", "podnet"], "");
  assertEquals(code, 1, "one of its leases is stale");
  assertEquals(stdout.split("\n"), [
    "podnet is a network on the bridge atomic0.",
    "It allocates 10.86.0.1 - 10.86.0.254 of 10.86.0.0/24. Held: 2, of which 1 stale; free: 251. State: 1 stale.",
    `Its state file is ${STATE_FOLDER}/podnet.json.`,
    "The owners of its addresses: atomicni list podnet; its pools: atomicni status podnet",
    "",
  ]);
  await host.add({ id: "podnet", netns: "c1", ifname: "eth1" });
  const both = await host.program(["explain", "podnet"], "");
  assertStringIncludes(both.stdout, "podnet is a network");
  assertStringIncludes(both.stdout, "belongs to container podnet, interface eth1");
  // Its link group ties it to the network, and nothing names its container.
  const [{ group }] = await host.ip("", "link", "show", "master", "atomic0");
  await host.sh(`ip link add x0 group ${group} type veth peer name eth9 netns c1
    ip link add x1 group ${group} type veth peer name x2; ip link add br9 type bridge`);
  const rows: [string[], RegExp][] = [
    [["explain", "x0"], /^The host veth x0 in network "podnet" belongs to an unknown container\./],
    [["explain", "x1"], / Its other end is in the host's own namespace\./],
    [["explain", "br9"], /\nNo network has an attachment on it\./],
    [["list", "--wide"], /\npodnet +- +- +- +- +x0 /],
  ];
  for (const [args, expected] of rows) {
    assertMatch((await host.program(args, "")).stdout, expected, args.join(" "));
  }
  await host.sh(`rm ${STATE_FOLDER}/podnet.json`);
  const lost = await host.program(["explain", "podnet"], "");
  assertStringIncludes(lost.stdout, "Its state file is gone: atomicni repair < CONFIGURATION");
});

hostTest("explain has the cause and the cure of every code", async (host) => {
  for (const [code, [meaning, cause, ...cure]] of Object.entries(CODES)) {
    const { code: exit, stdout } = await host.program(["explain", code], "");
    assertEquals(exit, 0);
    const lines = [`Code ${code}: ${meaning}`, `Why: ${cause}`, "What to do:"];
    const steps = cure.map((step) => `  - ${step}`);
    assert(steps.length > 0);
    assertEquals(stdout, `${[...lines, ...steps].join("\n").replaceAll("`", "")}\n`);
  }
  const unknown = await host.program(["explain", "999"], "");
  assertEquals(unknown.code, 2);
  assertStringIncludes(unknown.stderr, "its codes: 1, 2, 3");
});

Deno.test("the age of a lease in words", () => {
  const now = Date.parse("2026-03-01T12:00:00Z");
  const rows: [string, string][] = [
    ["2026-03-01T12:00:00Z", "0 seconds ago"],
    ["2026-03-01T11:59:59Z", "1 second ago"],
    ["2026-03-01T11:01:00Z", "59 minutes ago"],
    ["2026-03-01T11:00:00Z", "1 hour ago"],
    ["2026-02-27T11:00:00Z", "2 days ago"],
    ["2026-03-02T12:00:00Z", "which lies ahead: the clock was set back since"],
    ["yesterday", "at a time that can't be read"],
  ];
  for (const [since, expected] of rows) assertEquals(ago(since, now), expected, since);
});
