import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../lib/errors.ts";
import { parseLeaseFolder, splitImport } from "../lib/import.ts";
import { formatIpv4 } from "../lib/ipv4.ts";

/** As `grep -H ''` prints the folder of host-local: CR LF inside a file, no new line at its end. */
const LISTING = [
  "/var/lib/cni/networks/podnet/10.88.0.2:c1\r",
  "/var/lib/cni/networks/podnet/10.88.0.2:eth0",
  "/var/lib/cni/networks/podnet/10.88.0.3:c2",
  "/var/lib/cni/networks/podnet/last_reserved_ip.0:10.88.0.3",
  "",
].join("\n");

Deno.test("parseLeaseFolder reads both formats and the last address", () => {
  const { leases, lastReserved } = parseLeaseFolder(LISTING);
  assertEquals(
    leases.map(({ ip, containerId, ifname }) => [formatIpv4(ip), String(containerId), ifname]),
    [["10.88.0.2", "c1", "eth0"], ["10.88.0.3", "c2", undefined]],
  );
  assertEquals(lastReserved && formatIpv4(lastReserved), "10.88.0.3");
});

Deno.test("parseLeaseFolder reads a listing without folders and an empty one", () => {
  assertEquals(parseLeaseFolder("10.88.0.2:c1\r\n10.88.0.2:eth0\n").leases.length, 1);
  assertEquals(parseLeaseFolder("10.88.0.2: c1 \n").leases[0]?.containerId, "c1");
  assertEquals(parseLeaseFolder("lock:\n"), { leases: [] });
  assertEquals(parseLeaseFolder("\n"), { leases: [] });
});

Deno.test("parseLeaseFolder refuses what is no lease, by name", () => {
  const rows: [string, string][] = [
    ["10.88.0.2\n", "it is no FILE:LINE"],
    ["fd00::2:c1\n", "IPv4 only"],
    ["10.88.0.300:c1\n", "IPv4 address"],
    ["notes.txt:c1\n", "IPv4 address"],
    ["10.88.0.2:-a\n10.88.0.2:eth0\n", "container ID"],
    ["10.88.0.2:c1\n10.88.0.2:a/b\n", "interface name"],
    ["10.88.0.2:c1\n10.88.0.2:eth0\n10.88.0.2:x\n", "3 lines"],
    ["10.88.0.2:c1\n10.88.0.2:eth0\n10.88.0.3:c1\n10.88.0.3:eth0\n", "two addresses"],
    ["last_reserved_ip.1:10.88.0.3\n", "more than one range set"],
  ];
  for (const [listing, says] of rows) {
    const { code, message } = assertThrows(() => parseLeaseFolder(listing), CniError, says);
    assertEquals([code, message.includes("lease of host-local")], [7, true], listing);
  }
});

Deno.test("splitImport finds where a configuration ends", () => {
  const configuration = '{"name":"podnet",\n "ipam": {"subnet":\n"10.88.0.0/24"}}\n';
  assertEquals(splitImport(configuration + LISTING), { configuration, listing: LISTING });
  assertEquals(splitImport(`${configuration}10.88.0.2:c1\n`), {
    configuration,
    listing: "10.88.0.2:c1\n",
  });
  assertEquals(splitImport(configuration), { configuration, listing: "" });
});
