import { assertEquals, assertRejects } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import type { RunIp } from "../../../lib/netops.ts";
import { parseLink } from "../../../lib/netops/links.ts";
import { inspectPeers } from "../../../lib/netops/view.ts";
import { answer, failure } from "./answers.ts";

const HOST = { ...parseLink({ ifname: "av0123456789abc", ifindex: 7, link_index: 2 }), netnsId: 0 };
const ETH0 = { ifname: "eth0", ifindex: 2, link_index: 7, link_netnsid: 0 };

/** A fake `ip` with one namespace, which holds the links `inside`. */
function ip(inside: RunIp): RunIp {
  return (args, stdin) => {
    if (args.includes("netns")) return Promise.resolve(answer([{ name: "c1", id: 0 }]));
    // Entering the plugin's own namespace succeeds.
    if (args.some((it) => it.includes("/proc/self"))) return Promise.resolve(answer([]));
    return inside(args, stdin);
  };
}

Deno.test("inspectPeers() leaves out a removed namespace, and reports every other failure", async () => {
  const seen = await inspectPeers(ip(() => Promise.resolve(answer([ETH0]))), [HOST]);
  assertEquals(seen.get(HOST.ifname)?.peer.ifname, "eth0");
  // Both ends name each other: indices of two namespaces may agree by chance.
  const others = [{ ...ETH0, link_index: 9 }, { ...ETH0, ifindex: 3 }];
  assertEquals((await inspectPeers(ip(() => Promise.resolve(answer(others))), [HOST])).size, 0);
  const gone = await inspectPeers(ip(() => Promise.resolve(failure("no such file"))), [HOST]);
  assertEquals(gone.size, 0);
  const slow = new CniError("TryAgainLater", "Cannot wait longer", "a remedy");
  const rows: [RunIp, string][] = [
    [() => Promise.reject(slow), "Cannot wait longer"],
    [() => Promise.reject(new CniError("IpFailed", "Cannot run ip", "a remedy")), "Cannot run ip"],
    [() => Promise.resolve(answer("{")), "as the output of ip"],
  ];
  for (const [inside, message] of rows) {
    await assertRejects(() => inspectPeers(ip(inside), [HOST]), CniError, message);
  }
});
