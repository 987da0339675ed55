import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { Host, PROGRAM, run, STATE_FOLDER } from "../../integration/host.ts";
import { nameOf } from "../lab.ts";
import { LIBCNI_CHECKS } from "../libcni_checks.ts";
import { test } from "../../both_errors.ts";

const HERE = fromFileUrl(new URL(".", import.meta.url));
const BUILT = fromFileUrl(new URL("../../../build/libcni", import.meta.url));

const LIST = {
  cniVersion: "1.0.0",
  name: "podnet",
  plugins: [{
    type: "atomicni",
    bridge: "atomic0",
    subnet: "10.86.0.0/24",
    gateway: "10.86.0.1",
    capabilities: { ips: true, mac: true, ipRanges: true },
  }],
};

/** A second network of a container: both families, no IPv4 default route. */
const DUAL = {
  cniVersion: "1.0.0",
  name: "dual",
  plugins: [{
    type: "atomicni",
    bridge: "cni0",
    isGateway: true,
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: "10.87.0.0/24" }], [{ subnet: "fd00:89::/64" }]],
      routes: [{ dst: "::/0" }],
    },
    capabilities: { ips: true },
  }],
};

/** libcni and go-cni write below /var/lib/cni; this host has its own /var/lib. */
const SETUP = `
mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/cni ${STATE_FOLDER} && chmod 700 ${STATE_FOLDER}
mkdir -p /run/plugins /run/net.d && cat >/run/net.d/10-podnet.conflist`;

test("through libcni and go-cni", async (test) => {
  const built = await run(["go", "build", "-o", BUILT, `${HERE}main.go`], "", {
    GO111MODULE: "off",
    GOPATH: "/usr/share/gocode",
    GOCACHE: `${BUILT}.cache`,
    // Without optimization and debug information: the compiler takes two thirds of the time.
    GOFLAGS: "'-gcflags=all=-l -dwarf=false' -ldflags=-w",
    PATH: Deno.env.get("PATH") ?? "",
  });
  assertEquals(built.code, 0, built.stderr);

  await using host = await Host.create();
  await host.run(["sh", "-ec", SETUP], JSON.stringify(LIST));
  await host.run(["sh", "-ec", "cat >/run/net.d/20-dual.conflist"], JSON.stringify(DUAL));
  const command = PROGRAM.map((word) => `'${word}'`).join(" ");
  await host.run(
    ["sh", "-ec", "cat >/run/plugins/atomicni && chmod 755 /run/plugins/atomicni"],
    `#!/bin/sh\nexec ${command}\n`,
  );
  await host.containers("c1", "c2");
  const { stdout, stderr } = await host.run([
    ...[BUILT, "/run/plugins", "/run/net.d"],
    ...["/run/netns/c1", "/run/netns/c2"],
  ]);
  const passed = stdout.split("\n").flatMap((line) => /^ok (.*)/.exec(line)?.[1] ?? []);
  for (const check of LIBCNI_CHECKS) {
    await test.step(nameOf(check), () => {
      assert(passed.includes(check.what), `${stdout}${stderr}`);
    });
  }
  assert(!stdout.includes("FAIL"), `${stdout}${stderr}`);
  assertEquals(passed.toSorted(), LIBCNI_CHECKS.map(({ what }) => what).toSorted(), stderr);
  await host.assertNothingLeft();
  await host.assertNothingLeft("dual");
});
