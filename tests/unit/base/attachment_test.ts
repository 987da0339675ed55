import { assert, assertEquals } from "@std/assert";
import {
  aliasOf,
  type Attachment,
  attachmentIn,
  hostVethName,
  isAliasOf,
  isCutAlias,
  isHostVethName,
  ownerKey,
  podIn,
  tryOwner,
} from "../../../lib/base/attachment.ts";
import { parseContainerId, parseInterfaceName, parseNetworkName } from "../../../lib/base/names.ts";

function attachment(network: string, containerId: string, ifname: string): Attachment {
  return {
    network: parseNetworkName(network),
    containerId: parseContainerId(containerId),
    ifname: parseInterfaceName(ifname),
  };
}

const OWNER = attachment("podnet", "c1", "eth0");
const LEGACY = { network: OWNER.network, containerId: OWNER.containerId, ifname: undefined };

Deno.test("hostVethName() differs in each of network, container and interface", async () => {
  const all = [["n", "c", "eth0"], ["m", "c", "eth0"], ["n", "d", "eth0"], ["n", "c", "eth1"]];
  const names = await Promise.all(
    all.map(([n = "", c = "", i = ""]) => hostVethName(attachment(n, c, i))),
  );
  assertEquals(new Set(names).size, 4);
  assert(names.every(isHostVethName));
  assertEquals(await hostVethName(attachment("n", "c", "eth0")), names[0]);
  // printf podnet/c1/eth0 | sha256sum
  assertEquals<string>(await hostVethName(OWNER), "avc13a685b451ec");
  // printf c1 | sha1sum: the hash of the Go original, of the container ID alone.
  assertEquals<string>(await hostVethName(LEGACY), "av2f22765d04931");
  const strange = ["avcado0", "av", "av0123456789abcd", "av0123456789AB", "xav0123456789abc", ""];
  assertEquals(strange.filter(isHostVethName), []);
});

Deno.test("ownerKey() and tryOwner() are inverse", () => {
  const rows: [string, unknown][] = [
    ["c1/eth0", { containerId: "c1", ifname: "eth0" }],
    ["c1", { containerId: "c1", ifname: undefined }],
    ["a_b.c-d/e%d", { containerId: "a_b.c-d", ifname: "e%d" }],
  ];
  for (const [key, owner] of rows) {
    const found = tryOwner(key);
    assertEquals<unknown>(found, owner);
    assertEquals(found && ownerKey(found), key);
  }
  for (
    const key of ["", "/", "/eth0", "c1/", "c1/eth0/x", "c 1", "../c1/eth0", "c1/..", "c1/a b"]
  ) {
    assertEquals(tryOwner(key), undefined, key);
  }
});

Deno.test("an alias names the pod and identifies the attachment", () => {
  const rows: [string | undefined, string, string | undefined][] = [
    [undefined, "podnet/c1/eth0", undefined],
    ["web/front", "web/front podnet/c1/eth0", "web/front"],
    ["p".repeat(300), "podnet/c1/eth0", undefined],
    ["p".repeat(240), `${"p".repeat(240)} podnet/c1/eth0`, "p".repeat(240)],
    // One byte too long, counted in bytes and not in letters.
    ["p".repeat(241), "podnet/c1/eth0", undefined],
    ["é".repeat(121), "podnet/c1/eth0", undefined],
  ];
  for (const [pod, alias, shown] of rows) {
    assertEquals(aliasOf(OWNER, pod), alias);
    assertEquals(attachmentIn(alias), OWNER);
    assertEquals(isAliasOf(alias, OWNER), true);
    assertEquals(isAliasOf(alias, attachment("other", "c1", "eth0")), false);
    assertEquals(isAliasOf(alias, attachment("podnet", "c1", "eth1")), false);
    assertEquals(podIn(alias), shown);
    assertEquals(isCutAlias(OWNER.network, alias), false);
  }
  for (const alias of ["", "a/b", "../x/c1/eth0", "a/b/c/d", "podnet/c1/", "podnet//eth0", "x"]) {
    assertEquals(attachmentIn(alias), undefined, alias);
  }
});

Deno.test("an alias that is too long is cut, and still identifies the network", () => {
  const rows: [Attachment, boolean][] = [
    [attachment("n".repeat(200), "c".repeat(100), "eth0"), true],
    [attachment("n", "c".repeat(300), "eth0"), true],
    // Cut at the slash, or just long enough.
    [attachment("n".repeat(200), "c".repeat(50), "eth0"), true],
    [attachment("n".repeat(200), "c".repeat(49), "eth0"), false],
  ];
  for (const [owner, isCut] of rows) {
    const alias = aliasOf(owner, "web/front");
    assert(alias.length <= 255);
    assertEquals(attachmentIn(alias), isCut ? undefined : owner);
    assertEquals(isCutAlias(owner.network, alias), isCut, alias);
    assertEquals(isCutAlias(OWNER.network, alias), false);
  }
  assertEquals(isCutAlias(OWNER.network, "podnet/c1"), false);
});
