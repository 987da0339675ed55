/** Attachments with weak evidence keep what they have: a reclaimed address, a cut alias, a lease of another program. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { breakIp } from "./broken_ip.ts";
import { FIRST, GUARDED, permanent } from "./guarded.ts";
import { CONFIG, hostTest, STATE_FOLDER } from "./host.ts";

const ONE = {
  rangeStart: "10.86.0.2",
  rangeEnd: "10.86.0.2",
  rangeStart6: "fd00:88::2",
  rangeEnd6: "fd00:88::2",
};

/** Stops the first run that flushes neighbours after it removed the veth until another attachment was added, at most 4 s. */
const FLUSH_WAITS = `case "$* $in" in *"link del"*) : >/run/removed ;; esac
case "$in" in *"neigh flush"*) [ -e /run/flushing ] || [ ! -e /run/removed ] || { : >/run/flushing
  for i in $(seq 80); do [ -e /run/added ] && break; sleep 0.05; done; } ;; esac`;

for (const command of ["DEL", "GC"]) {
  hostTest(
    `the flush of a ${command} takes nothing from an ADD that gets the address concurrently`,
    async (host) => {
      await host.containers("c1", "c2");
      const config = { ...GUARDED, ipam: ONE };
      await host.add({ config });
      await breakIp(host, FLUSH_WAITS);
      const valid = { "cni.dev/valid-attachments": [] };
      const removing = host.cni(command, { config: { ...config, ...valid } });
      await host.sh(
        "for i in $(seq 400); do [ -e /run/flushing ] && exit; sleep 0.02; done; exit 1",
      );
      const { ips } = await host.add({ id: "c2", config });
      await host.sh(": >/run/added");
      assertEquals((await removing).code, 0);
      assertEquals(ips[0].address, `${FIRST.ips[0]}/24`);
      const neighbours = await permanent(host, "");
      assertEquals(FIRST.ips.map((ip) => neighbours[ip]), [FIRST.mac, FIRST.mac]);
    },
  );
}

hostTest(
  "an attachment with a cut alias returns to a bridge that is created again",
  async (host) => {
    await host.containers("c1", "c2");
    const config = { ...CONFIG, name: "n".repeat(120) };
    const long = { id: "c".repeat(140), netns: "c1", config };
    const [, { name: veth }] = (await host.add(long)).interfaces;
    const [{ ifalias }] = await host.ip("", "link", "show", "dev", veth);
    assertEquals(ifalias.length, 255, "the alias is not cut");
    await host.sh(`ip link del dev ${CONFIG.bridge}`);
    await host.add({ id: "c2", config });
    assertEquals((await host.ip("", "link", "show", "dev", veth))[0].master, CONFIG.bridge);
    assert(await host.pings("c1", CONFIG.gateway));
    await host.del(long);
    assertEquals(await host.ip("", "link", "show", "dev", veth), []);
    assertEquals(Object.keys(await host.leases(config.name)), ["c2/eth0"]);
  },
);

hostTest("STATUS syncs nothing, and leaves the folder as it was", async (host) => {
  await host.containers("c1");
  await host.add();
  const listing = `cd ${STATE_FOLDER}; ls -la --time-style=full-iso *.json *.lock; ls -A`;
  const before = await host.sh(listing);
  const calls = "fsync,fdatasync,sync_file_range,syncfs,sync,rename,renameat,renameat2,link,linkat";
  const strace = ["strace", "-f", "-qq", "-o", "/run/trace", "-e", `trace=${calls},execve`];
  assertEquals((await host.cni("STATUS", { under: strace })).code, 0);
  const lines = (await host.sh("cat /run/trace")).split("\n");
  assertMatch(lines.join("\n"), /execve/);
  // Deno itself writes the cache of the script form.
  const own = lines.filter((line) => !/execve|\/\.deno\/|exited|SIG/.test(line) && line !== "");
  assertEquals(own, []);
  assertEquals(await host.sh(listing), before);
});
