import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { breakIp } from "../integration/broken_ip.ts";
import { type Answer, CONFIG, type Host, hostTest, STATE_FOLDER } from "../integration/host.ts";
import { recordFault } from "./fault.ts";
import { unnamedNamespace } from "../integration/unnamed.ts";
import { untilSh } from "../until.ts";

const STATE = `${STATE_FOLDER}/podnet.json`;
const NARROW = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.9" } };

async function repair(host: Host, ...options: string[]): Promise<Answer> {
  const args = ["repair", "--json", ...options];
  return await host.program(args, JSON.stringify({ ...NARROW, name: "podnet" }));
}

/** A lease in the form of the report. */
function lease(owner: string, address: string) {
  return { owner, address, addresses: [address] };
}

hostTest("repair rebuilds a damaged state from the kernel, keeping the file", async (host) => {
  await host.containers("c1", "c2", "c3");
  await host.add({ id: "c1", args: "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web" });
  await host.add({ id: "c2", config: { ...CONFIG, runtimeConfig: { mac: "02:00:00:00:00:07" } } });
  const before = await host.state();
  await host.sh(`head -c 100 ${STATE} >/run/cut && cp /run/cut ${STATE}`);
  const refused = await host.cni("ADD", { id: "c3" });
  assertEquals([refused.code, refused.json.code], [1, 104]);

  const dry = await repair(host, "--dry-run");
  assertEquals([dry.code, dry.json.written, dry.json.found.length], [0, false, 2], dry.stderr);
  assertEquals((await host.cni("ADD", { id: "c3" })).json.code, 104, "a dry run writes nothing");

  const { code, json, stderr } = await repair(host);
  assertEquals([code, json.written, json.findings], [0, true, []], stderr);
  const { leases, containerToIP } = await host.state();
  assertEquals(containerToIP, before.containerToIP);
  for (const owner of Object.keys(leases)) leases[owner].since = before.leases[owner].since;
  assertEquals(leases, before.leases, "pod, MAC and host veth are read from the kernel");
  assertMatch(json.backup, /^\/var\/lib\/atomicni\/podnet\.json\.damaged-\d{8}T\d{6}\.\d{3}Z$/);
  assertEquals((await host.sh(`wc -c <${json.backup}`)).trim(), "100");
  const added = await host.add({ id: "c3", config: NARROW });
  assertEquals(added.ips[0].address, "10.86.0.4/24");
  for (const id of ["c1", "c2", "c3"]) await host.del({ id });
  await host.assertNothingLeft();
});

hostTest("repair of a sound state changes nothing", async (host) => {
  await host.containers("c1");
  await host.add();
  const before = await host.sh(`cat ${STATE}; ls -i ${STATE}`);
  const { code, json } = await repair(host);
  assertEquals([code, json.written, json.kept.length], [0, false, 1]);
  assertEquals(await host.sh(`cat ${STATE}; ls -i ${STATE}`), before);
});

hostTest("repair drops stale leases and finds those that are missing", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c1" });
  const only = await host.sh(`cat ${STATE}`);
  await host.add({ id: "c2" });
  await host.run(["tee", STATE], only);
  await host.end("c1");
  const { json } = await repair(host);
  assertEquals(json.dropped, [lease("c1/eth0", "10.86.0.2")]);
  assertEquals(json.found, [lease("c2/eth0", "10.86.0.3")]);
  assertEquals(await host.leases(), { "c2/eth0": "10.86.0.3" });
});

hostTest("repair: a removed state file is found out by the next ADD", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c1" });
  await host.sh(`rm ${STATE}`);
  const { json } = await host.cni("ADD", { id: "c2" });
  assertEquals(json.code, 104);
  assertStringIncludes(json.msg, '"c1/eth0" holds an address');
  assertEquals((await repair(host)).json.written, true);
  assertEquals((await host.add({ id: "c2" })).ips[0].address, "10.86.0.3/24");
  recordFault({
    fault: "the state file removed while a container is live",
    tries: 1,
    outcome: "ADD: code 104 that names the container; `repair` brings the lease back",
  });
});

hostTest("repair writes nothing if the owner of an address is unknown", async (host) => {
  // A namespace that has no name in /run/netns.
  const pid = await unnamedNamespace(host);
  await host.containers("c2");
  await host.add({ id: "c1", netns: `/proc/${pid}/ns/net` });
  await host.sh(`: >${STATE}`);
  const { code, json } = await repair(host);
  assertEquals([code, json.written], [2, false]);
  assertEquals(json.findings[0].level, "unverified");
  assertStringIncludes(json.findings[0].found, "can't be inspected");
  assertEquals((await host.cni("ADD", { id: "c2" })).json.code, 104);
  // The remedy removes the veth. No other container may hold an address, so no lease remains.
  await host.del({ id: "c1" });
  assertEquals((await repair(host)).json.written, true);
  await host.add({ id: "c2" });
  await host.sh(`kill ${pid}`);
});

hostTest("repair waits for an ADD between its lease and its address", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c1" });
  await breakIp(
    host,
    `case "$in" in "link set dev "*" address "*) : >/run/reached; sleep 3 ;; esac`,
  );
  const adding = host.add({ id: "c2" });
  await host.sh(untilSh("[ -e /run/reached ]"));
  const before = await host.leases();
  await host.sh(`: >${STATE}`);
  const { code, json } = await repair(host);
  assertEquals([code, json.written, json.findings], [0, true, []]);
  await adding;
  assertEquals(before, { "c1/eth0": "10.86.0.2", "c2/eth0": "10.86.0.3" });
  assertEquals(await host.leases(), before);
});

hostTest(
  "repair finds nothing wrong with a container that was added during the run",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "c1" });
    // After the list of the host's veths.
    const waiting = `/run/ip.real "$@"; : >/run/reached; ${untilSh("[ -e /run/added ]")}; exit 0`;
    await breakIp(
      host,
      `case "$*" in "-d -j link show type veth") [ -e /run/reached ] || { ${waiting}; } ;; esac`,
    );
    const repairing = repair(host);
    await host.sh(untilSh("[ -e /run/reached ]"));
    await host.add({ id: "c2" });
    await host.sh(": >/run/added");
    const { code, json } = await repairing;
    assertEquals([code, json.written, json.findings], [0, false, []]);
    assertEquals(Object.keys(await host.leases()), ["c1/eth0", "c2/eth0"]);
  },
);

hostTest("repair succeeds although a veth disappears during the run", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c1" });
  const gone = (await host.add({ id: "c2" })).interfaces[1].name;
  // Between the inspection of the containers and the second list of the host's veths.
  await breakIp(
    host,
    `case "$*" in "-j netns list")
      if [ ! -e /run/once ]; then : >/run/once; /run/ip.real link del dev ${gone}; fi ;; esac`,
  );
  await host.sh(`: >${STATE}`);
  const { code, json } = await repair(host);
  assertEquals([code, json.written, json.findings], [0, true, []]);
  assertEquals(await host.leases(), { "c1/eth0": "10.86.0.2" });
  assertEquals((await host.hostVeths()).length, 1);
});

hostTest("repair while ADDs run: no address twice, and each keeps its lease", async (host) => {
  const names = Array.from({ length: 12 }, (_, n) => `c${n}`);
  await host.containers(...names);
  const stale = (await host.add({ id: "c0" })).interfaces[1].name;
  // Each ADD is paused between its lease and its address, and each repair between its view and its write.
  await breakIp(
    host,
    `case "$in$*" in "link set dev "*" address "*) sleep 1 ;; *"netns list") sleep 0.3 ;; esac`,
  );
  const add = (id: string) => host.cni("ADD", { id });
  const first = names.slice(1, 6).map(add);
  while (Object.keys(await host.leases()).length < 6);
  await host.sh(`: >${STATE}`);
  const rebuilt = await repair(host);
  const second = names.slice(6).map(add);
  await host.sh(`ip link del dev ${stale}`);
  const cleared = await repair(host);
  assertEquals(cleared.json.dropped, [lease("c0/eth0", "10.86.0.2")]);
  const answers = await Promise.all([...first, ...second]);
  for (const { code, stderr } of [rebuilt, cleared, ...answers]) assertEquals(code, 0, stderr);
  const leases = await host.leases();
  assertEquals(Object.keys(leases).sort(), names.slice(1).map((id) => `${id}/eth0`).sort());
  for (const id of names.slice(1)) {
    assertEquals(await host.addresses(id, "eth0"), [`${leases[`${id}/eth0`]}/24`], id);
  }
  for (const id of names) await host.del({ id });
  await host.assertNothingLeft();
  recordFault({
    fault: "`repair`, and the state emptied, while 11 ADDs run",
    tries: "2 repairs",
    outcome: "no address twice, each container that has one has its lease",
  });
});
