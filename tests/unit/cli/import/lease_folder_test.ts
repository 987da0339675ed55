import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../../../../lib/base/errors.ts";
import { parseLeaseFolder, splitImport } from "../../../../lib/cli/import/lease_folder.ts";

/** Output of `grep -H ''` for host-local's folder: CR LF inside a file, no new line at its end. */
const LISTING = [
  "/var/lib/cni/networks/podnet/10.86.0.2:c1\r",
  "/var/lib/cni/networks/podnet/10.86.0.2:eth0",
  "/var/lib/cni/networks/podnet/10.86.0.3:c2",
  "/var/lib/cni/networks/podnet/last_reserved_ip.0:10.86.0.3",
  "",
].join("\n");

Deno.test("parseLeaseFolder reads both formats and the last address", () => {
  const { leases, lastReserved } = parseLeaseFolder(LISTING);
  assertEquals(
    leases.map((
      { ips, owner: { containerId, ifname } },
    ) => [ips.join(), String(containerId), ifname]),
    [["10.86.0.2", "c1", "eth0"], ["10.86.0.3", "c2", undefined]],
  );
  assertEquals<string[]>([...lastReserved], ["10.86.0.3"]);
});

Deno.test("parseLeaseFolder reads a listing without folders and an empty one", () => {
  assertEquals(parseLeaseFolder("10.86.0.2:c1\r\n10.86.0.2:eth0\n").leases.length, 1);
  assertEquals(parseLeaseFolder("10.86.0.2: c1 \n").leases[0]?.owner.containerId, "c1");
  assertEquals(parseLeaseFolder("lock:\n"), { leases: [], lastReserved: [] });
  assertEquals(parseLeaseFolder("\n"), { leases: [], lastReserved: [] });
});

Deno.test("parseLeaseFolder joins the files of one attachment, of both families and several sets", () => {
  const listing = (...lines: string[]) => lines.map((it) => `/n/podnet/${it}\n`).join("");
  const rows: [string, [string, string | undefined, string][]][] = [
    [listing("10.86.0.2:c1\r", "10.86.0.2:eth0", "fd00::2:c1\r", "fd00::2:eth0"), [
      ["c1", "eth0", "10.86.0.2,fd00::2"],
    ]],
    [listing("10.1.0.2:c1", "10.1.0.2:eth0", "10.2.0.2:c1", "10.2.0.2:eth0"), [
      ["c1", "eth0", "10.1.0.2,10.2.0.2"],
    ]],
    // Two interfaces of one container are two attachments.
    [listing("10.1.0.2:c1", "10.1.0.2:eth0", "10.1.0.3:c1", "10.1.0.3:eth1"), [
      ["c1", "eth0", "10.1.0.2"],
      ["c1", "eth1", "10.1.0.3"],
    ]],
    [listing("10.1.0.2:c1", "fd00::2:c1"), [["c1", undefined, "10.1.0.2,fd00::2"]]],
    ["fd00::2:c1\r\nfd00::2:eth0\n", [["c1", "eth0", "fd00::2"]]],
    ["FD00::0:2:c1\nFD00::0:2:eth0\n", [["c1", "eth0", "fd00::2"]]],
    ["::2:c1\n", [["c1", undefined, "::2"]]],
  ];
  for (const [text, expected] of rows) {
    const { leases } = parseLeaseFolder(text);
    assertEquals<unknown>(
      leases.map(({ owner: { containerId, ifname }, ips }) => [containerId, ifname, ips.join()]),
      expected,
      text,
    );
  }
});

Deno.test("parseLeaseFolder reads the last address of each range set, in their order", () => {
  const rows: [string, string[]][] = [
    ["last_reserved_ip.1:fd00::9\nlast_reserved_ip.0:10.86.0.9\n", ["10.86.0.9", "fd00::9"]],
    ["last_reserved_ip.1:fd00::9\n", ["fd00::9"]],
    ["last_reserved_ip.0:nonsense\nlast_reserved_ip.1:10.0.0.1\n", ["10.0.0.1"]],
    ["last_reserved_ip.0:\n", []],
    ["last_reserved_ip.0:10.86.0.9\nlast_reserved_ip.0:\n", ["10.86.0.9"]],
  ];
  for (const [text, last] of rows) {
    assertEquals<unknown>(parseLeaseFolder(text), { leases: [], lastReserved: last }, text);
  }
});

Deno.test("parseLeaseFolder refuses anything that is not a lease, by name", () => {
  const rows: [string, string][] = [
    ["10.86.0.2\n", "it is not FILE:LINE"],
    ["fd00::2\n", "IPv6 address"],
    ["fd00:::2:c1\n", "an IPv6 address"],
    ["fd00::2/x:c1\n", "IPv4 address"],
    ["10.86.0.300:c1\n", "IPv4 address"],
    ["notes.txt:c1\n", "IPv4 address"],
    ["10.86.0.2:-a\n10.86.0.2:eth0\n", "container ID"],
    ["10.86.0.2:c1\n10.86.0.2:a/b\n", "interface name"],
    ["10.86.0.2:c1\n10.86.0.2:eth0\n10.86.0.2:x\n", "3 lines"],
    ["10.86.0.2:c1\n10.86.0.2:eth0\n10.86.0.3:c1\n", "names its interface, and another"],
    ["10.86.0.3:c1\n10.86.0.2:c1\n10.86.0.2:eth0\n", "names its interface, and another"],
  ];
  for (const [listing, says] of rows) {
    const { code, message } = assertThrows(() => parseLeaseFolder(listing), CniError, says);
    assertEquals([code, message.includes("lease of host-local")], [7, true], listing);
  }
});

Deno.test("splitImport finds the end of a configuration", () => {
  const configuration = '{"name":"podnet",\n "ipam": {"subnet":\n"10.86.0.0/24"}}\n';
  assertEquals(splitImport(configuration + LISTING), { configuration, listing: LISTING });
  assertEquals(splitImport(`${configuration}10.86.0.2:c1\n`), {
    configuration,
    listing: "10.86.0.2:c1\n",
  });
  for (
    const listing of ["fd00::2:c1\n", "/n/podnet/fd00::2:c1\n", "lock:\n", "last_reserved_ip.0:\n"]
  ) {
    assertEquals(splitImport(configuration + listing), { configuration, listing });
  }
  // A file without an end of its last line.
  const short = '{"plugins":[{"ipam":{"ranges":[[{"subnet":"fd00::/64"}]]}}]}';
  for (const listing of [LISTING, "10.86.0.2:c1\n", "fd00::2:c1\n"]) {
    assertEquals(splitImport(short + listing), { configuration: short, listing });
  }
  assertEquals(splitImport(short), { configuration: short, listing: "" });
  // Lines of a configuration are not part of a listing, in whatever form.
  const six = '{"name":"podnet",\n"subnet6":\n"fd00::/64",\n"gateway6": "fd00::1"}\n';
  assertEquals(splitImport(six), { configuration: six, listing: "" });
  assertEquals(splitImport(configuration), { configuration, listing: "" });
});
