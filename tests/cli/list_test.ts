import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CONFIG, hostTest, MODES, PROGRAM, STATE_FOLDER } from "../integration/host.ts";

const POD = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web";

hostTest("list shows the owner of each address and whether its veth exists", async (host) => {
  await host.containers("c1", "c2");
  const first = await host.add({ id: "c1", args: POD });
  await host.add({ id: "c2" });
  await host.sh(`ip link del dev ${first.interfaces[1].name}`);
  const { code, stdout, stderr } = await host.program(["list"], "");
  assertEquals({ code, stderr }, { code: 1, stderr: "" }, "one lease is stale");
  const [heading = "", ...rows] = stdout.trimEnd().split("\n");
  assertEquals(
    heading.split(/ +/),
    ["NETWORK", "OWNER", "INTERFACE", "ADDRESS", "MAC", "VETH", "SINCE", "STATE"],
  );
  const { leases } = await host.state();
  const [veth] = await host.hostVeths();
  assertEquals(rows.map((row) => row.split(/ +/)), [
    ["podnet", "default/web", "eth0", "10.86.0.2", "0a:58:0a:56:00:02", first.interfaces[1].name]
      .concat(leases["c1/eth0"].since, "stale"),
    ["podnet", "c2", "eth0", "10.86.0.3", "0a:58:0a:56:00:03", veth ?? ""]
      .concat(leases["c2/eth0"].since, "live"),
  ]);
  const column = heading.indexOf("ADDRESS");
  for (const row of rows) assertEquals(row.slice(column, column + 8), "10.86.0.", "aligned");
  const { json } = await host.program(["list", "podnet", "--json"], "");
  assertEquals(
    json.attachments.map((it: { containerId: string; live: boolean }) => [it.containerId, it.live]),
    [["c1", false], ["c2", true]],
  );
}, MODES);

hostTest(
  "list takes the options of kubectl and ip, or names its own",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "c1" });
    await host.add({ id: "c2", config: { ...CONFIG, name: "other" } });
    const plain = (await host.program(["list", "other", "--json"], "")).stdout;
    for (
      const args of [["-n", "other", "-o", "json"], ["--network=other", "-j"], ["other", "-ojson"]]
    ) {
      assertEquals((await host.program(["list", ...args], "")).stdout, plain, args.join(" "));
    }
    assertEquals(
      (await host.program(["list", "-o", "wide"], "")).stdout,
      (await host.program(["list", "--wide"], "")).stdout,
    );
    const rows: [string[], string][] = [
      [["list", "-o", "yaml"], "-o takes json or wide"],
      [["list", "--watch=5"], "--watch takes no value"],
      [["list", "--json=yes"], "--json takes no value"],
      [["list", "-A"], "options: --"],
      [["list", "-n"], 'Cannot show ""'],
    ];
    for (const [args, expected] of rows) {
      const { code, stdout, stderr } = await host.program(args, "");
      assertEquals([code, stdout], [2, ""], args.join(" "));
      assertStringIncludes(stderr, expected);
    }
  },
);

hostTest(
  "list without attachments, and list and status of a network that does not exist",
  async (host) => {
    assertEquals((await host.program(["list"], "")).stdout, "No attachments.\n");
    await host.containers("c1");
    await host.add();
    for (const command of ["list", "status"]) {
      const near = await host.program([command, "podnte"], "");
      assertEquals(near.code, 2);
      assertStringIncludes(near.stderr, 'did you mean "podnet"?');
      const { code, stderr } = await host.program([command, "dmz"], "");
      assertEquals(code, 2);
      assertStringIncludes(
        stderr,
        'Cannot show "dmz": no network of that name has a state file or a host veth',
      );
      assertStringIncludes(stderr, `see all: atomicni ${command}\n`);
    }
  },
);

hostTest("list prints no terminal escapes", async (host) => {
  await host.containers("c1");
  await host.add();
  const state = await host.state();
  state.leases["c1/eth0"].pod = "\x1b]0;title\x07\u009b31m\u202e";
  await host.sh(`cat > ${STATE_FOLDER}/podnet.json <<'E'\n${JSON.stringify(state)}\nE`);
  for (const args of [["list"], ["list", "--json"]]) {
    const { code, stdout } = await host.program(args, "");
    assertEquals(code, 0);
    // deno-lint-ignore no-control-regex
    assertMatch(stdout, /^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]*$/);
    assertStringIncludes(stdout, "u009b31m");
  }
});

hostTest(
  "without ip list shows the state file, and says that the rest is unknown",
  async (host) => {
    await host.containers("c1");
    await host.add();
    await host.sh("mount --bind /dev/null /usr/bin/ip");
    const rows: [string[], string][] = [
      [["list"], "unknown"],
      [["explain", "10.86.0.2"], "ip failed"],
      [["status"], "253   1     -"],
    ];
    for (const [args, expected] of rows) {
      const { code, stdout } = await host.program(args, "");
      assertEquals(code, 2);
      assertStringIncludes(stdout, expected);
      assertStringIncludes(stdout, "install iproute2");
    }
    const { json } = await host.program(["list", "--json"], "");
    const [{ state, live }] = json.attachments;
    assertEquals([state, live], ["unknown", undefined]);
  },
);

hostTest("list does not claim to be empty if a state file can't be read", async (host) => {
  await host.sh(`printf x > ${STATE_FOLDER}/podnet.json`);
  for (const args of [["list"], ["status"], ["explain", "10.86.0.2"]]) {
    const { code, stdout } = await host.program(args, "");
    assertEquals(code, 2);
    assert(!/^No (attachments|networks)|No network has/m.test(stdout), stdout);
    assertStringIncludes(stdout, "error 104");
  }
});

hostTest(
  "output fits a terminal of 60, 80 and 100 columns; --wide shows all",
  async (host) => {
    await host.containers("c1", "c2");
    const pod = "a-name-of-a-pod-that-is-as-long-as-those-of-a-deployment-5d8b7c9f6d-x2x4z";
    const config = {
      ...CONFIG,
      subnet6: "fd00:1234:5678:9abc:def0:1234:5678::/112",
      gateway6: "fd00:1234:5678:9abc:def0:1234:5678:1",
    };
    await host.add({ args: POD.replace("web", pod), config });
    await host.add({ id: "c2", args: POD, config });
    const shown = async (columns: number, ...args: string[]) => {
      const command = [...PROGRAM, ...args].map((it) => `'${it}'`).join(" ");
      const env = { TERM: "xterm", NO_COLOR: "1", ...Deno.env.toObject() };
      const { stdout } = await host.run(
        ["script", "-qec", `stty cols ${columns}; ${command}`, "/dev/null"],
        "",
        env,
      );
      return stdout.replaceAll("\r", "").trimEnd().split("\n");
    };
    for (const columns of [60, 80, 100]) {
      for (
        const args of [["list"], ["status"], ["help"], ["explain", "10.86.0.3"], ["explain", "104"]]
      ) {
        const lines = await shown(columns, ...args);
        // deno-lint-ignore no-control-regex
        const widest = Math.max(...lines.map((it) => it.replaceAll(/\x1b\[[0-9;]*m/g, "").length));
        assert(widest <= columns, `${args} at ${columns}: ${widest}\n${lines.join("\n")}`);
        assert(lines.length > 1, lines.join("\n"));
      }
    }
    // Address, owner and state are shown at any width, and nothing is cut if there is room.
    for (const columns of [60, 80]) {
      const lines = (await shown(columns, "list")).join("\n");
      for (
        const word of ["10.86.0.2", "fd00:1234:5678:9abc:def0:1234:5678:2", "live", "default"]
      ) {
        assertStringIncludes(lines, word);
      }
    }
    const wide = (await shown(60, "list", "--wide")).join("\n");
    assertStringIncludes(wide, "0a:58:0a:56:00:02");
    assertStringIncludes(wide, `default/${pod}`);
    assertEquals((await shown(0, "list")).join("\n"), wide, "a terminal without a size");
  },
);
