import { assert, assertEquals, assertMatch } from "@std/assert";
import { CONFIG } from "../../integration/host.ts";
import { type Lab, refused, type Row, row } from "../lab.ts";
import { unnamedNamespace } from "../../integration/unnamed.ts";

const BAD_IDS = ["-a", "a/b", "cc\n"];
const BAD_IFNAMES: readonly (readonly [string, RegExp])[] = [
  ["sixteen-bytes-xx", /too long/],
  [".", /\. or \.\./],
  ["a:b", /contains \/ or : or whitespace/],
  ["a b", /contains \/ or : or whitespace/],
];
const BAD_ARGS: readonly (readonly [string, string, RegExp])[] = [
  ["E16 P22", "FOO=1", /unknown args.*FOO=1/],
  ["E15 P22", "IgnoreUnknown=yes", /IgnoreUnknown=1, true, 0 or false/],
  ["E14 P22", "X", /"X" is not one/],
  ["E15", "ignoreunknown=1;FOO=1", /unknown args/],
  ["E18", "IP=10.86.0.300", /IP=an IPv4 address/],
  ["E18 B19", "MAC=zz:00", /MAC=a MAC address/],
];
const GOOD_ARGS: readonly (readonly [string, string])[] = [
  ["E15 P22", "IgnoreUnknown=1;FOO=1"],
  ["E15 P22", "FOO=1;IgnoreUnknown=TRUE"],
  [
    "E17",
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=7",
  ],
];

function missing(
  rules: string,
  what: string,
  env: Record<string, string>,
  code: number,
  says: RegExp,
): Row {
  return row(rules, what, async (lab) => {
    lab.mustBeError(await lab.raw(env, JSON.stringify(CONFIG)), code, says);
  });
}

export const ENVIRONMENT: readonly Row[] = [
  missing(
    "E1 E2 P4",
    "ADD with nothing but the command names the missing variables",
    {
      CNI_COMMAND: "ADD",
    },
    4,
    /^required env variables \[CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME\] missing/,
  ),
  missing(
    "E1",
    "an empty variable counts as missing",
    {
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "",
      CNI_IFNAME: "",
    },
    4,
    /^required env variables \[CNI_NETNS,CNI_IFNAME\] missing/,
  ),
  missing(
    "E2",
    "DEL needs no namespace",
    { CNI_COMMAND: "DEL" },
    4,
    /\[CNI_CONTAINERID,CNI_IFNAME\]/,
  ),
  missing(
    "E2",
    "CHECK needs the same as ADD",
    { CNI_COMMAND: "CHECK", CNI_IFNAME: "eth0" },
    4,
    /\[CNI_CONTAINERID,CNI_NETNS\]/,
  ),
  missing("E20", "GC needs CNI_PATH", { CNI_COMMAND: "GC" }, 4, /\[CNI_PATH\]/),
  missing(
    "E3 P5",
    "a bad ID is reported before missing variables",
    {
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: "-a",
    },
    4,
    /CNI_CONTAINERID "-a".*invalid characters in containerID/,
  ),
  row("E3 V1", "VERSION ignores a bad ID", async (lab) => {
    const { code, json } = await lab.raw({ CNI_COMMAND: "VERSION", CNI_CONTAINERID: "%%" });
    assertEquals([code, json?.supportedVersions?.length], [0, 7]);
  }),
  row("E1 E20 P26", "STATUS with the classic variables empty", async (lab) => {
    const nothing = {
      CNI_CONTAINERID: "",
      CNI_NETNS: "",
      CNI_IFNAME: "",
      CNI_ARGS: "",
      CNI_PATH: "",
    };
    const { code, stdout } = await lab.raw(
      { CNI_COMMAND: "STATUS", ...nothing },
      JSON.stringify(CONFIG),
    );
    assertEquals([code, stdout], [0, ""]);
  }),
  ...BAD_IDS.map((id) =>
    refused(
      "E4 P6",
      `container ID ${JSON.stringify(id)}`,
      "ADD",
      { id, netns: "c1" },
      4,
      /invalid characters in containerID/,
    )
  ),
  row("E4 P6", "container IDs of one character and of 300", async (lab) => {
    for (const id of ["9", "a".repeat(300)]) {
      await lab.add({ id, netns: "c1" });
      await lab.silent("DEL", { id, netns: "c1" });
    }
    await lab.host.assertNothingLeft();
  }),
  ...BAD_IFNAMES.map(([ifname, says]) =>
    refused("E6 P7", `interface name ${JSON.stringify(ifname)}`, "ADD", { ifname }, 4, says)
  ),
  ...["a'b", "a#b"].map((ifname) =>
    refused(
      "E7",
      `interface name ${ifname}`,
      "ADD",
      { ifname },
      4,
      /which ip can't be given in a batch/,
    )
  ),
  refused(
    "E7",
    "interface name foo%d",
    "ADD",
    { ifname: "foo%d" },
    4,
    /the kernel would replace the %/,
  ),
  row("E7 D1", "DEL with an interface name that only an ADD refuses", async (lab) => {
    await lab.silent("DEL", { ifname: "foo%d" });
    for (const ifname of ["-eth0", "a'b", 'a"b']) await lab.silent("DEL", { ifname });
  }),
  row("E6 P7", "an interface name of 15 bytes", async (lab) => {
    await lab.add({ ifname: "fifteen-bytes-x" });
    assertEquals((await lab.inside("c1", "fifteen-bytes-x")).ifname, "fifteen-bytes-x");
  }),
  refused(
    "E8 P3",
    "an unknown command with empty stdin: the error is about stdin",
    "FOO",
    { stdin: "" },
    6,
    /it is empty/,
  ),
  refused(
    "E8 E9 P3",
    "an unknown command with good stdin: the error is about the command",
    "FOO",
    {},
    4,
    /^unknown CNI_COMMAND: FOO;/,
  ),
  refused("E9 P3", "add in small letters", "add", {}, 4, /^unknown CNI_COMMAND: add;/),
  row("E10 V3 P1", "no environment at all, stdin closed", async (lab) => {
    const { code, stdout, stderr } = await lab.raw({});
    assertEquals([code, stdout], [0, ""]);
    assertMatch(
      stderr,
      /^[^\n]*atomicni[^\n]*\n[^\n]*CNI[^\n]* versions supported: 0\.1\.0, 0\.2\.0, 0\.3\.0, 0\.3\.1, 0\.4\.0, 1\.0\.0, 1\.1\.0\n$/i,
    );
  }),
  ...["/proc/self/ns/net", "/proc/1/ns/../ns/net", "/run/netns/self"].map((netns) =>
    row("E11 P18", `ADD with the plugin's own namespace as ${netns}`, async (lab) => {
      // With its MAC, an interface distinguishes the host's namespace from one that has only lo.
      await lab.host.sh(`ip link add nic0 type bridge
        touch /run/netns/self && mount --bind /proc/self/ns/net /run/netns/self`);
      const path = netns.startsWith("/proc/1/") ? `/proc/${await ownPid(lab)}/ns/net` : netns;
      await lab.refuse(
        "ADD",
        { netns: path },
        8,
        /plugin's netns and netns from CNI_NETNS should not be the same/,
      );
    })
  ),
  row("E11 P18", "DEL with the plugin's own namespace leaves it unchanged", async (lab) => {
    await lab.host.sh("ip link add eth0 type bridge");
    await lab.silent("DEL", { netns: "/proc/self/ns/net" });
    assertEquals(await lab.host.links(), ["eth0"]);
  }),
  row("E13 I2 R5", "a namespace by its process", async (lab) => {
    const pid = Number(await unnamedNamespace(lab.host));
    try {
      const path = `/proc/${pid}/ns/net`;
      const { interfaces } = await lab.add({ netns: path });
      assertEquals(interfaces[2].sandbox, path);
      const { stdout: links } = await lab.host.run([
        "nsenter",
        "-t",
        String(pid),
        "-n",
        "ip",
        "-br",
        "link",
      ]);
      assertMatch(links, /^eth0@/m);
      await lab.silent("DEL", { netns: path });
    } finally {
      await lab.host.run(["kill", String(pid)]);
    }
  }),
  row("E13", "a namespace bound to a file elsewhere, with a blank in its path", async (lab) => {
    await lab.container("c1");
    await lab.host.sh(
      "mkdir -p '/run/a b' && touch '/run/a b/ns' && mount --bind /run/netns/c1 '/run/a b/ns'",
    );
    const { interfaces } = await lab.add({ netns: "/run/a b/ns" });
    assertEquals(interfaces[2].sandbox, "/run/a b/ns");
    await lab.silent("DEL", { netns: "/run/a b/ns" });
    await lab.host.sh("umount '/run/a b/ns'");
  }),
  ...['"', "\n"].map((character) =>
    row(
      "E13 A4",
      `a namespace with a ${JSON.stringify(character)} in its path, which ip can't read`,
      async (lab) => {
        const netns = `/run/netns/a${character}b`;
        await lab.refuse("ADD", { netns }, 8, /CNI_NETNS .* which ip can't be given/);
        await lab.silent("DEL", { netns });
      },
    )
  ),
  ...BAD_ARGS.map(([rules, args, says]) =>
    refused(rules, `CNI_ARGS ${args}`, "ADD", { args }, 4, says)
  ),
  ...GOOD_ARGS.map(([rules, args]) =>
    row(rules, `CNI_ARGS ${args}`, async (lab) => {
      await lab.add({ args });
      assertEquals(Object.keys(await lab.host.leases()), ["c1/eth0"]);
    })
  ),
  row("E17", "the host veth's alias and the state have the pod's name", async (lab) => {
    const { interfaces } = await lab.add({
      args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1",
    });
    assertEquals((await lab.link(interfaces[1].name)).ifalias, "shop/web-1 podnet/c1/eth0");
    assertEquals((await lab.host.state()).leases["c1/eth0"].pod, "shop/web-1");
  }),
  row("E18", "IP alone, MAC alone", async (lab) => {
    assertEquals((await lab.add({ args: "IP=10.86.0.77" })).ips[0].address, "10.86.0.77/24");
    const { interfaces } = await lab.add({ id: "c2", args: "MAC=0a:00:00:00:00:77" });
    assertEquals(interfaces[2].mac, "0a:00:00:00:00:77");
  }),
  row("E19", "DEL with arguments that an ADD would refuse", async (lab) => {
    await lab.add();
    await lab.silent("DEL", { args: "X;=;FOO" });
    await lab.host.assertNothingLeft();
  }),
  row("E20 E21", "no CNI_PATH, no PATH, and unrelated variables", async (lab) => {
    await lab.container("c1");
    const env = {
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/c1",
      CNI_IFNAME: "eth0",
      CNI_VERSION: "9.9.9",
      TRACEPARENT: "00-1-2-3",
      LD_LIBRARY_PATH: "/nowhere",
    };
    const { code, json } = await lab.raw({ CNI_COMMAND: "ADD", ...env }, JSON.stringify(CONFIG));
    assertEquals([code, json?.cniVersion], [0, "1.1.0"]);
    assert((await lab.raw({ CNI_COMMAND: "DEL", ...env }, JSON.stringify(CONFIG))).code === 0);
  }),
];

async function ownPid(lab: Lab): Promise<string> {
  // The process that holds the private host is in the plugin's own namespace.
  return (await lab.host.sh(
    'for p in /proc/[0-9]*; do [ "$(readlink $p/ns/net)" = "$(readlink /proc/self/ns/net)" ] && [ "$p" != /proc/$$ ] && basename $p && break; done',
  )).trim();
}
