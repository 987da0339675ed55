import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CONFIG, type Host, hostTest } from "./host.ts";
import { settled } from "./settled.ts";

/**
 * Two container IDs whose host veths have the same name. The name has 52 bits of SHA-256("podnet/ID/eth0"), so
 * 2^27 IDs probably contain such a pair. It was found with a table of the last ID for each 27 bits of the hash, over
 * IDs that differ only in their last seven digits (the second block of the hash), in ten seconds of one processor.
 */
const FIRST = "00aec40b51e652a4516a3beed53f3a2f2c164de0b54aecb8694192c130c0ec1f";
const SECOND = "00aec40b51e652a4516a3beed53f3a2f2c164de0b54aecb8694192c130e7c1ad";
const HOST_VETH = "ava946a5c5e458a";

async function assertUntouched(host: Host): Promise<void> {
  assertEquals(await host.hostVeths(), [HOST_VETH]);
  assertEquals(await host.leases(), { [`${FIRST}/eth0`]: "10.86.0.2" });
  assertEquals(await host.addresses("c1", "eth0"), ["10.86.0.2/24"]);
  assert(await host.pings("c1", CONFIG.gateway), "the first container is cut off");
}

hostTest(
  "an ADD is refused and names the owner if another container has its host veth's name",
  async (host) => {
    await host.containers("c1", "c2");
    const { interfaces } = await host.add({ id: FIRST, netns: "c1" });
    assertEquals(
      interfaces[1].name,
      HOST_VETH,
      "has the rule of the name changed? Search for a new pair",
    );
    const { code, json, stdout } = await host.cni("ADD", { id: SECOND, netns: "c2" });
    await assertUntouched(host);
    assertEquals([code, json?.code], [1, 103], stdout);
    assertStringIncludes(`${json.msg} ${json.details}`, `${FIRST}/eth0`);
    assertEquals(await host.ip("c2", "link", "show", "dev", "eth0"), []);
    // The DEL that a runtime sends after a failed ADD.
    for (const netns of ["c2", ""]) {
      await host.del({ id: SECOND, netns });
      await assertUntouched(host);
    }
    await host.del({ id: FIRST, netns: "c1" });
    await host.assertNothingLeft();
    await host.add({ id: SECOND, netns: "c2" });
    assert(await host.pings("c2", CONFIG.gateway));
    await host.del({ id: SECOND, netns: "c2" });
    await host.assertNothingLeft();
  },
);

hostTest(
  "an ADD again with another namespace is refused and leaves the first container's eth0",
  async (host) => {
    await host.containers("c1", "c2");
    const { interfaces } = await host.add({ id: "c1" });
    // The kernel changes the flags of a link-local address once it is no longer tentative.
    await settled(host, "c1");
    const before = [await host.leases(), await host.hostVeths(), await host.ip("c1", "addr")];
    const { code, json, stdout } = await host.cni("ADD", { id: "c1", netns: "c2" });
    assert(await host.pings("c1", CONFIG.gateway), "the first container is cut off");
    assertEquals(
      [await host.leases(), await host.hostVeths(), await host.ip("c1", "addr")],
      before,
    );
    assertEquals([code, json?.code], [1, 103], stdout);
    const said = `${json.msg} ${json.details}`;
    assertStringIncludes(said, interfaces[1].name);
    assertStringIncludes(said, "c1/eth0");
    assertEquals(await host.ip("c2", "link", "show", "dev", "eth0"), []);
    // To move the attachment, the runtime calls DEL first.
    await host.del({ id: "c1", netns: "c2" });
    await host.add({ id: "c1", netns: "c2" });
    assert(await host.pings("c2", CONFIG.gateway));
  },
);
