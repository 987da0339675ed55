import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { Malformed } from "../lib/errors.ts";
import { parseIpv4 } from "../lib/ipv4.ts";
import {
  aliasOf,
  type Attachment,
  attachmentOf,
  freshMac,
  hostVethName,
  isHostVethName,
  leaseKey,
  legacyVethName,
  macOf,
  parseContainerId,
  parseInterfaceName,
  parseMac,
  parseNetworkName,
  podName,
} from "../lib/names.ts";

function attachment(network: string, containerId: string, ifname: string): Attachment {
  return {
    network: parseNetworkName(network),
    containerId: parseContainerId(containerId),
    ifname: parseInterfaceName(ifname),
  };
}

Deno.test("parseInterfaceName() takes what the kernel takes literally", () => {
  for (const name of ["e", "eth0", "a.b-c_d", "123456789012345", "ethé", "x;y"]) {
    assertEquals<string>(parseInterfaceName(name), name);
  }
  const rows: [unknown, string][] = [
    ["", "empty"],
    ["1234567890123456", "too long, 16 bytes"],
    ["éééééééé", "too long, 16 bytes"],
    [".", "is . or .."],
    ["..", "is . or .."],
    ["a/b", "contains / or :"],
    ["a:b", "contains / or :"],
    ["a b", "whitespace"],
    ["a\tb", "whitespace"],
    ["a\u00a0b", "whitespace"],
    ["a\u0085b", "whitespace"],
    ["eth%d", "replace the %"],
    ["-h", "starts with -"],
    ["a\u0000b", "control character"],
    ["a\u001bb", "control character"],
    [7, "got 7"],
  ];
  for (const [name, found] of rows) {
    assertThrows(() => parseInterfaceName(name), Malformed, found);
  }
});

Deno.test("container IDs and network names start with a letter or digit and hold no path", () => {
  for (const name of ["a", "0", "a_b.c-d", "A".repeat(200)]) {
    assertEquals<string>(parseContainerId(name), name);
    assertEquals<string>(parseNetworkName(name), name);
  }
  for (
    const name of ["../x", "..", ".a", "-h", "_a", "a/b", "a b", "a\n", "x; reboot", "%d", "é"]
  ) {
    assertThrows(() => parseContainerId(name), Malformed, "invalid characters in containerID");
    assertThrows(() => parseNetworkName(name), Malformed, "invalid characters found");
  }
  assertThrows(() => parseContainerId(""), Malformed);
  assertThrows(() => parseNetworkName(""), Malformed, "missing network name");
  assertThrows(() => parseNetworkName(undefined), Malformed, "missing network name");
  assertThrows(() => parseNetworkName("a".repeat(201)), Malformed, "201 characters");
});

Deno.test("parseMac() takes unicast addresses and prints them in lower case", () => {
  assertEquals<string>(parseMac("0A:58:0a:58:00:02"), "0a:58:0a:58:00:02");
  const rows: [unknown, string][] = [
    ["0a-58-0a-58-00-02", "not of that form"],
    ["0a:58:0a:58:00", "not of that form"],
    ["0a:58:0a:58:00:02:03", "not of that form"],
    ["01:00:5e:00:00:01", "multicast"],
    ["ff:ff:ff:ff:ff:ff", "multicast"],
    ["00:00:00:00:00:00", "all zeros"],
    [5, "got 5"],
  ];
  for (const [mac, found] of rows) assertThrows(() => parseMac(mac), Malformed, found);
});

Deno.test("macOf() is of the address alone, freshMac() is unicast and above any vendor's", () => {
  assertEquals<string>(macOf(parseIpv4("10.88.0.2")), "0a:58:0a:58:00:02");
  assertEquals<string>(macOf(parseIpv4("255.255.255.255")), "0a:58:ff:ff:ff:ff");
  assertMatch(freshMac(), /^fe(:[0-9a-f]{2}){5}$/);
  assertNotEquals(freshMac(), freshMac());
});

Deno.test("hostVethName() differs in each of network, container and interface", async () => {
  const all = [["n", "c", "eth0"], ["m", "c", "eth0"], ["n", "d", "eth0"], ["n", "c", "eth1"]];
  const names = await Promise.all(
    all.map(([n = "", c = "", i = ""]) => hostVethName(attachment(n, c, i))),
  );
  assertEquals(new Set(names).size, 4);
  assert(names.every(isHostVethName));
  assertEquals(await hostVethName(attachment("n", "c", "eth0")), names[0]);
  // printf c1 | sha1sum
  assertEquals<string>(await legacyVethName("c1"), "av2f22765d04931");
  assertEquals(isHostVethName("avcado0"), false);
});

Deno.test("an alias names the pod and leads back to the attachment", () => {
  const owner = attachment("podnet", "c1", "eth0");
  const rows: [string | undefined, string][] = [
    [undefined, "podnet/c1/eth0"],
    ["web/front", "web/front podnet/c1/eth0"],
    ["p".repeat(300), "podnet/c1/eth0"],
  ];
  for (const [pod, alias] of rows) {
    assertEquals(aliasOf(owner, pod), alias);
    assertEquals(attachmentOf(alias), owner);
  }
  const long = attachment("n".repeat(200), "c".repeat(100), "eth0");
  assertEquals(aliasOf(long, undefined).length, 255);
  for (const alias of [aliasOf(long, undefined), "", "a/b", "../x/c1/eth0", "a/b/c/d"]) {
    assertEquals(attachmentOf(alias), undefined, alias);
  }
  assertEquals(leaseKey(owner), "c1/eth0");
});

Deno.test("podName() leaves nothing in that a terminal or ip could misread", () => {
  assertEquals(podName("web", "front-1"), "web/front-1");
  assertEquals(podName("we b", "\u001b[31m\"'#\\\n"), "we?b/??31m?????");
  assertEquals(podName("n", "x".repeat(400)).length, 320);
});
