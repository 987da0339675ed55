import { assert, assertEquals } from "@std/assert";
import { type Answer, type CniCall, Host, type Json } from "../integration/host.ts";
import { addressesOf, allAddresses, DUAL, GUARDED, permanent, portGuard } from "./dual.ts";
import { recordFault } from "./fault.ts";
import { SIZE } from "../size.ts";
import { newRandom } from "../random.ts";
import { test } from "../both_errors.ts";

const KILLS = Number(Deno.env.get("FAULTS_KILLS") ?? (SIZE === "full" ? 500 : 32));

/** The system calls at which runs are killed: those between the steps of a change, and others. */
const STEPS = ["openat", "rename", "fsync", "fdatasync", "flock", "ftruncate", "write", "clone3"];
const CALLS = [...STEPS, "pidfd_open", "wait4", "read", "close", "statx", "lseek", "epoll_wait"];

/** On a guarded network of both families, which has every step of a plain one. */
const OPERATIONS = ["ADD", "DEL", "GC"] as const;
type Operation = (typeof OPERATIONS)[number];
const VALID = { "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }] };
const callOf = (name: Operation): CniCall => ({
  config: name === "GC" ? { ...DUAL, ...VALID } : DUAL,
});

/** The points at which a run may be killed: the n-th call of a name, counted from the end back to the end of Deno's start. */
async function placesOf(host: Host, name: Operation): Promise<string[]> {
  const under = ["strace", "-o", "/run/calls", "-e", `trace=${CALLS.join()}`];
  const { code, stdout } = await host.cni(name, { ...callOf(name), under });
  assertEquals(code, 0, stdout);
  const lines = (await host.sh("cat /run/calls")).split("\n");
  const counts = new Map<string, number>();
  const steps: string[] = [];
  const others: string[] = [];
  let hasStarted = false;
  for (const line of lines) {
    const what = line.slice(0, line.indexOf("("));
    if (!CALLS.includes(what)) continue;
    const count = (counts.get(what) ?? 0) + 1;
    counts.set(what, count);
    // A run changes nothing before it reads its state.
    hasStarted ||= line.includes("/var/lib/atomicni/podnet.json") || what === "clone3";
    if (!hasStarted) continue;
    (STEPS.includes(what) ? steps : others).push(`${what}:signal=SIGKILL:when=${count}`);
  }
  const places = [...steps, ...others];
  assert(places.length > 20, `only ${places.length} places in ${lines.length} system calls`);
  return places;
}

/**
 * Asserts that every container with an address has its lease, and that no address is used twice (docs/architecture.md,
 * "An ADD").
 */
async function assertLeased(host: Host): Promise<void> {
  const leases = await host.leases();
  for (const name of ["c1", "c2"]) {
    const held = addressesOf(leases[`${name}/eth0`]);
    for (const ip of await allAddresses(host, name, "eth0")) assert(held.includes(ip), ip);
  }
}

async function assertOnlyOther(host: Host, before: Json): Promise<void> {
  assertEquals((await host.hostVeths()).length, 1, "a veth is left");
  assertEquals(await host.leases(), before, "leases");
  const own = addressesOf(before["c2/eth0"]);
  assertEquals(await allAddresses(host, "c2", "eth0"), own);
  assertEquals((await host.files()).filter((it) => /\.(tmp|add)$/.test(it)), [], "a temporary");
  assertEquals(await permanent(host, "", DUAL.bridge), own, "neighbours");
  assertEquals(await portGuard(host, "c2"), GUARDED);
}

async function timeOf(run: () => Promise<Answer>): Promise<number> {
  const began = performance.now();
  assertEquals((await run()).code, 0);
  return performance.now() - began;
}

for (const name of OPERATIONS) {
  const title = `guarded dual-stack ${name}`;
  test(`kill: ${title}, ${KILLS} times, then one DEL`, async () => {
    const random = newRandom(`kill ${title}`);
    await using host = await Host.create();
    await host.containers("c1", "c2");
    await host.add({ id: "c2", config: DUAL });
    const before = await host.leases();
    const prepare = async () => {
      if (name !== "ADD") await host.add({ id: "c1", config: DUAL });
    };
    const del = () => host.del({ id: "c1", config: DUAL });
    await prepare();
    const places = await placesOf(host, name);
    await del();
    await prepare();
    const usual = await timeOf(() => host.cni(name, callOf(name)));
    await del();
    let killed = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      // Two of three runs are killed at a listed point, each point in turn. The third is killed at a random time.
      const place = places[Math.floor(kill * 2 / 3) % places.length] ?? "";
      const under = kill % 3 < 2
        ? ["strace", "-qq", "-o", "/dev/null", "-e", `inject=${place}`]
        : ["timeout", "--foreground", "-s", "KILL", (random() * usual * 1.1 / 1000).toFixed(4)];
      await prepare();
      const answer = await host.cni(name, { ...callOf(name), under });
      if (answer.code === 137) killed++;
      try {
        assert([0, 124, 137].includes(answer.code), `exit ${answer.code}`); // 124: killed by the time limit
        await assertLeased(host);
        await del();
        await assertOnlyOther(host, before);
      } catch (error) {
        throw new Error(`${under.join(" ")}: ${error}\n${await host.report()}`, { cause: error });
      }
    }
    // An ip that outlived its run has ended by now.
    await assertOnlyOther(host, before);
    // Both the old attachment and a new attachment have traffic.
    assert(await host.pings("c2", DUAL.gateway), "c2 is cut off");
    await host.add({ id: "c1", config: DUAL });
    assert(await host.pings("c1", DUAL.gateway), "c1 is cut off");
    assert(await host.pings("c1", addressesOf(before["c2/eth0"])[0] ?? ""), "c2 from c1");
    assert(killed > KILLS / 3, `only ${killed} of ${KILLS} were killed in time`);
    recordFault({
      fault:
        `${title} killed: SIGKILL at ${places.length} places among its system calls, and at any time`,
      tries: `${KILLS} (${killed} before it had ended)`,
      outcome:
        `one DEL each, nothing left, no permanent neighbour either; the other attachment as it was, and nobody cut off`,
    });
  });
}

const REFERENCE = "/usr/lib/cni";
const REFERENCE_CONFIG = {
  cniVersion: "1.0.0",
  name: "refnet",
  type: "bridge",
  bridge: "ref0",
  isGateway: true,
  ipam: { type: "host-local", subnet: "10.87.0.0/16", dataDir: "/run/ref" },
};

test("kill: bridge + host-local, to compare", async () => {
  const kills = Math.ceil(KILLS / 2);
  const random = newRandom("kill bridge + host-local");
  await using host = await Host.create();
  await host.containers("c1");
  const cni = (command: string, id: string, under: readonly string[] = []) =>
    host.run([...under, `${REFERENCE}/bridge`], JSON.stringify(REFERENCE_CONFIG), {
      PATH: "/usr/sbin:/usr/bin",
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: "/run/netns/c1",
      CNI_IFNAME: "eth0",
      CNI_PATH: REFERENCE,
    });
  const veths = async () => (await host.links()).filter((it) => it !== "ref0").length;
  const leases = async () =>
    Number(await host.sh("find /run/ref/refnet -name '10.*' 2>/run/err | wc -l"));
  const began = performance.now();
  assertEquals((await cni("ADD", "first")).code, 0);
  const usual = performance.now() - began;
  assertEquals((await cni("DEL", "first")).code, 0);
  // Kills hit either process, because each uses the leases of the other.
  const places = [["write", 8], ["sendto", 24], ["openat", 24], ["flock", 2], ["fchmod", 1]]
    .flatMap(([what, most]) =>
      Array.from({ length: Number(most) }, (_, n) => `${what}:signal=SIGKILL:when=${n + 1}`)
    );
  const left = { killed: 0, failed: 0, veths: 0, leases: 0 };
  for (let kill = 0; kill < kills; kill++) {
    const after = (random() * usual * 1.1 / 1000).toFixed(4);
    const place = places[Math.floor(kill * 2 / 3) % places.length] ?? "";
    const under = kill % 3 < 2
      ? ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `inject=${place}`]
      : ["timeout", "--foreground", "-s", "KILL", after];
    if (![0, 124].includes((await cni("ADD", `k${kill}`, under)).code)) left.killed++;
    if ((await cni("DEL", `k${kill}`)).code !== 0) left.failed++;
    if (await veths() > 0) {
      left.veths++;
      // The next attempt starts from the same state.
      await host.sh(
        "for it in $(ip -o link show type veth | sed 's/^[0-9]*: //; s/[@:].*//'); do ip link del dev $it; done",
      );
    }
  }
  left.leases = await leases();
  recordFault({
    fault: "to compare, the reference plugins `bridge` + `host-local`: ADD killed likewise",
    tries: `${kills} (${left.killed} before it had ended)`,
    outcome:
      `after one DEL each: ${left.leases} leases left, ${left.veths} times a veth; ${left.failed} of the DELs failed`,
  });
});

test("a full pool and a new start of the node: bridge + host-local, to compare", async () => {
  await using host = await Host.create();
  const ids = ["c1", "c2", "c3", "c4", "c5"];
  await host.containers(...ids, "n1");
  const ipam = { type: "host-local", subnet: "10.87.0.0/29", dataDir: "/run/ref" };
  const add = (id: string) =>
    host.run([`${REFERENCE}/bridge`], JSON.stringify({ ...REFERENCE_CONFIG, ipam }), {
      PATH: "/usr/sbin:/usr/bin",
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: id,
      CNI_NETNS: `/run/netns/${id}`,
      CNI_IFNAME: "eth0",
      CNI_PATH: REFERENCE,
    });
  for (const id of ids) assertEquals((await add(id)).code, 0);
  await host.sh(`for it in ${ids.join(" ")}; do ip netns del $it; done; ip link del dev ref0`);
  const { code, stdout } = await add("n1");
  const message = code === 0 ? "gives an address" : `fails: ${JSON.parse(stdout).msg}`;
  recordFault({
    fault: "to compare, the reference plugins: a pool of 5 full, then a reboot",
    tries: 1,
    outcome: `the next ADD ${
      message.slice(0, 120)
    } (AtomicNI: allocates an address, tests/integration/reclaim_test.ts)`,
  });
});
