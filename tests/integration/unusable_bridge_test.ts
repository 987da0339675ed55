/** A bridge that can't be used as it is: STATUS, doctor and ADD agree, and the remedy works as printed. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json } from "./host.ts";

const { cniVersion, type, bridge } = CONFIG;
const V6 = {
  ...{ cniVersion, type, bridge, name: "v6net" },
  ...{ subnet6: "fd09::/64", gateway6: "fd09::1" },
};

/** Asserts the answers before and after the remedy: the command between ": " and the end, or a comma. */
async function cured(host: Host, config: Json, found: string, command: RegExp): Promise<void> {
  const status = await host.cni("STATUS", { config });
  assertEquals([status.json?.code], [50], status.stdout);
  assertStringIncludes(status.json.msg, found);
  const report = await host.program(["doctor", "--json"], JSON.stringify(config));
  const errors = report.json.findings.filter((it: Json) => it.level === "error");
  assertEquals(errors.map((it: Json) => [it.code, it.found]), [[105, found]], report.stdout);
  await host.sh(await refusal(host, config, found, command));
  assertEquals((await host.cni("STATUS", { config })).stdout, "");
  await host.add({ id: "c2", config });
}

/** The command in the details of a refused ADD, which leaves no veth. */
async function refusal(host: Host, config: Json, found: string, command: RegExp): Promise<string> {
  const before = await host.hostVeths();
  const { json, stdout } = await host.cni("ADD", { id: "c2", config });
  assertEquals([json.code, json.msg], [105, found], stdout);
  assertEquals(await host.hostVeths(), before);
  return command.exec(json.details)?.[0] ?? json.details;
}

hostTest("a bridge whose configured name is only an alternative name", async (host) => {
  await host.containers("c2");
  await host.sh("ip link add br0 type bridge; ip link property add dev br0 altname atomic0");
  const found = 'Cannot use "atomic0" as the bridge: it is an alternative name of "br0"';
  await cured(host, CONFIG, found, /ip link property del .*/);
});

hostTest("an alternative name of an interface in the container is taken", async (host) => {
  await host.containers("c1");
  await host.sh("ip -n c1 link add x0 type bridge; ip -n c1 link property add dev x0 altname eth0");
  const { json, stdout } = await host.cni("ADD");
  assertEquals(json.code, 103, stdout);
  assertStringIncludes(json.msg, "an interface of that name exists there");
  await host.assertNothingLeft();
});

hostTest("a bridge whose port has an MTU without IPv6", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ config: { ...CONFIG, mtu: 1000 } });
  const found = 'Cannot use "atomic0" for IPv6: its MTU is 1000, and IPv6 needs 1280';
  await cured(host, V6, found, /ip link set dev atomic0 mtu 1500/);
});

for (const address of ["10.86.0.1/16", "10.86.0.254/24"]) {
  hostTest(`a bridge of live containers has ${address} instead of its address`, async (host) => {
    const config = { ...CONFIG, macspoofchk: true };
    await host.containers("c1", "c2");
    await host.add({ id: "c1", config });
    await host.sh(`ip addr flush dev atomic0; ip addr add ${address} dev atomic0`);
    const found = `Cannot use "atomic0" as the bridge of 10.86.0.1/24: it has ${address}`;
    await cured(host, config, found, /ip addr del [^)]+/);
    for (const id of ["c1", "c2"]) assertEquals(await host.pings(id, "10.86.0.1"), true, id);
  });
}
