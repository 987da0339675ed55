import { assertEquals, assertMatch } from "@std/assert";
import { run } from "../integration/host.ts";
import { Containerd, PAGE } from "./containerd.ts";
import { DEPLOY, nodeTest } from "./node.ts";
import { assertNothingLeft } from "./podnet.ts";

const CONFLISTS = [...Deno.readDirSync(DEPLOY)].map(({ name }) => name).filter((name) =>
  name.endsWith(".conflist")
).sort();

Deno.test("deploy/: there is a conflist for each runtime and for the usual chain", () => {
  assertEquals(CONFLISTS, [
    "10-atomicni-chain.conflist",
    "10-atomicni.conflist",
    "10-crio-atomicni.conflist",
  ]);
});

for (const name of CONFLISTS) {
  nodeTest(`deploy/${name}: runs a container`, async (node) => {
    await node.write(`/etc/cni/net.d/${name}`, await Deno.readTextFile(`${DEPLOY}/${name}`));
    const containerd = await Containerd.start(node);
    await containerd.run("web", "httpd", "-f", "-h", "/www");
    assertEquals(await node.fetch(`http://${await containerd.address("web")}/`), PAGE);
    await containerd.remove("web");
    await assertNothingLeft(node);
  });
}

nodeTest("deploy/atomicni.nft: nft takes it, twice, and lists one table", async (node) => {
  const file = `${DEPLOY}/atomicni.nft`;
  await node.sh(`nft -c -f ${file} && nft -f ${file} && nft -f ${file}`);
  assertEquals(await node.sh("nft list tables"), "table ip atomicni_podnet\n");
});

nodeTest(
  "deploy/atomicni-rules@.service: systemd takes it; its commands load and unload the rules",
  async (node) => {
    const unit = `${DEPLOY}/atomicni-rules@.service`;
    const { code, stdout, stderr } = await run(["systemd-analyze", "verify", "--man=no", unit]);
    assertEquals({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
    await node.sh(`mkdir /etc/atomicni && cp ${DEPLOY}/atomicni.nft /etc/atomicni/podnet.nft`);
    const text = await Deno.readTextFile(unit);
    const command = (name: string) =>
      new RegExp(`^${name}=(.*)$`, "m").exec(text)?.[1]?.replaceAll("%i", "podnet") ?? "false";
    await node.sh(command("ExecStart"));
    await node.sh(command("ExecReload"));
    assertMatch(await node.sh("nft list ruleset"), /masquerade/);
    await node.sh(command("ExecStop"));
    assertEquals(await node.sh("nft list ruleset"), "");
  },
);

nodeTest(
  "deploy/atomicni.sysctl: forwarding, and the packet filter for bridged packets",
  async (node) => {
    await node.sh("sysctl -qw net.ipv4.ip_forward=0 net.bridge.bridge-nf-call-iptables=0");
    await node.sh(`sysctl -q -p ${DEPLOY}/atomicni.sysctl`);
    const set = await node.sh("sysctl -n net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables");
    assertEquals(set, "1\n1\n");
  },
);

nodeTest(
  "deploy/atomicni.tmpfiles: makes the state folder and the one ip -n starts from",
  async (node) => {
    await node.sh("mkdir /run/root");
    await node.sh(`systemd-tmpfiles --create --root=/run/root ${DEPLOY}/atomicni.tmpfiles`);
    assertEquals(
      await node.sh("cd /run/root && stat -c '%a %U %n' var/lib/atomicni run/netns"),
      "700 root var/lib/atomicni\n755 root run/netns\n",
    );
  },
);

Deno.test("deploy/Containerfile: has what the DaemonSet's script runs, and starts it", async () => {
  const text = await Deno.readTextFile(`${DEPLOY}/Containerfile`);
  const instructions = text.split("\n").filter((line) => /^[A-Z]/.test(line)).map((line) => {
    const [name = "", ...words] = line.split(" ");
    return [name, words.join(" ")] as const;
  });
  assertEquals(instructions.map(([name]) => name), ["FROM", "RUN", "COPY", "ENTRYPOINT"]);
  const of = Object.fromEntries(instructions);
  assertMatch(of["RUN"] ?? "", /apt-get install -y --no-install-recommends curl jq &&/);
  const manifest = await Deno.readTextFile(`${DEPLOY}/kubernetes.yaml`);
  assertEquals(of["COPY"], "bin/atomicni tools/install /");
  assertMatch(await Deno.readTextFile(`${DEPLOY}/../Makefile`), /^bin\/atomicni:/m);
  assertMatch(
    manifest,
    /program=\$\{PROGRAM:-\/atomicni\}\n +installer=\$\{INSTALLER:-\/install\}/,
  );
  assertEquals(JSON.parse(of["ENTRYPOINT"] ?? ""), ["/bin/sh", "/config/install.sh"]);
  assertMatch(manifest, /^ {2}install\.sh: \|$/m);
});
