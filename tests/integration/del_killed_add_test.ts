import { assert, assertEquals } from "@std/assert";
import { breakIp } from "./broken_ip.ts";
import { CONFIG, type Host, hostTest } from "./host.ts";
import { untilSh } from "../until.ts";

/** Starts a program and writes its process ID to /run/add.pid. */
const NOTED = ["sh", "-c", 'echo $$ >/run/add.pid; exec "$@"', "sh"];

/**
 * The `ip` of the first ADD creates the veth this many seconds after the next `ip` (of a DEL) was called, like an `ip`
 * that waits for the kernel's lock.
 */
function lateVeth(seconds: number): string {
  return `case "$in $*" in
    *"link add"*veth*) if mkdir /run/once 2>/run/err; then
      : >/run/reached
      ${untilSh("[ -e /run/looked ]")}
      sleep ${seconds}; fi ;;
    *) case "$* $in" in
      *' -batch - '|*' -batch -') ;; # one that was only prepared, and ended with its ADD
      *) [ ! -e /run/reached ] || : >/run/looked ;; esac ;;
  esac`;
}

/** An ADD that was killed while its `ip` waits; the `ip` continues by itself. */
async function killedAdd(host: Host, seconds: number): Promise<void> {
  // The bridge exists, so the veth is the first thing that the ADD creates.
  await host.add({ id: "c2" });
  await breakIp(host, lateVeth(seconds));
  const adding = host.cni("ADD", { id: "c1", under: NOTED });
  await host.sh(untilSh("[ -e /run/reached ]"));
  await host.sh("kill -9 $(cat /run/add.pid)");
  assertEquals((await adding).code, 137, "the ADD ended before it was killed");
}

async function assertOnlyOther(host: Host): Promise<void> {
  assertEquals((await host.hostVeths()).length, 1, "a veth is left");
  assertEquals(Object.keys(await host.leases()), ["c2/eth0"]);
  assertEquals(await host.ip("c1", "link", "show", "dev", "eth0"), []);
  assert(await host.pings("c2", CONFIG.gateway));
}

for (const seconds of [0.3, 1.5]) {
  hostTest(
    `one DEL after a killed ADD removes a veth that appears ${seconds} s after its first look`,
    async (host) => {
      await host.containers("c1", "c2");
      await killedAdd(host, seconds);
      await host.del({ id: "c1" });
      await host.sh(`sleep ${seconds + 0.5}`);
      await assertOnlyOther(host);
      assertEquals(await host.files(), ["./podnet.json", "./podnet.lock"], "a mark is left");
      await host.add({ id: "c1" });
      assert(await host.pings("c1", CONFIG.gateway));
    },
  );
}

hostTest(
  "a DEL concurrent with an ADD of the same attachment leaves both veth and lease, or neither",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "c2" });
    await breakIp(host, lateVeth(1));
    const adding = host.cni("ADD", { id: "c1" });
    await host.sh(untilSh("[ -e /run/reached ]"));
    const del = await host.cni("DEL", { id: "c1" });
    const add = await adding;
    const isThere = (await host.hostVeths()).length === 2;
    const holds = "c1/eth0" in await host.leases();
    assertEquals(isThere, holds, "a veth without a lease, or a lease without a veth");
    if (add.code === 0) {
      assert(isThere && holds, "the ADD reports success, but the attachment is gone");
    } else assert(del.code !== 0 || !isThere, "the DEL reports success, but the attachment exists");
    await host.del({ id: "c1" });
    await assertOnlyOther(host);
  },
);
