import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { parseIp } from "../../../lib/base/address.ts";
import { CniError } from "../../../lib/base/errors.ts";
import { parseMac } from "../../../lib/base/mac.ts";
import { parseInterfaceName } from "../../../lib/base/names.ts";
import { checkLockable, guard } from "../../../lib/netops/guard.ts";
import { parseLink } from "../../../lib/netops/links.ts";
import { Rollback } from "../../../lib/rollback.ts";
import { answer, failure, recorder } from "./answers.ts";

const SPEC = {
  bridge: parseInterfaceName("br0"),
  host: parseInterfaceName("av0123456789abc"),
  mac: parseMac("0a:58:0a:56:00:02"),
  ips: ["10.86.0.2", "fd00::2"].map((it) => parseIp(it)),
};
const COMMANDS = [
  "-B -batch -\n  neigh add any lladdr 0a:58:0a:56:00:02 nud noarp dev av0123456789abc",
  [
    "-batch -",
    "neigh replace 10.86.0.2 lladdr 0a:58:0a:56:00:02 dev br0 nud permanent",
    "neigh replace fd00::2 lladdr 0a:58:0a:56:00:02 dev br0 nud permanent",
    "neigh replace fe80::858:aff:fe56:2 lladdr 0a:58:0a:56:00:02 dev br0 nud permanent",
  ].join("\n  "),
];
const FLUSH =
  "-force -batch -\n  neigh flush to 10.86.0.2 dev br0 nud all\n  neigh flush to fd00::2 dev br0 nud all\n" +
  "  neigh flush to fe80::858:aff:fe56:2 dev br0 nud all";

Deno.test("guard() moves a learned entry, but refuses a configured one: code 102, and the owner's neighbours stay", async () => {
  const { mac, host } = SPEC;
  const rows: [dev: string, master: string, state: string, isTaken: boolean][] = [
    ["br0", "", "PERMANENT", true],
    ["av9", "br0", "NOARP", true],
    ["av9", "br9", "NOARP", false],
    ["av9", "br0", "REACHABLE", false],
    ["av9", "br0", "STALE", false],
    [host, "br0", "NOARP", false],
  ];
  for (const [dev, master, state, isTaken] of rows) {
    const { calls, run } = recorder((args, stdin) =>
      stdin?.startsWith("neigh add") ? failure("RTNETLINK answers: File exists") : answer(
        args.includes("show") ? [{ dev, ifname: dev, master, lladdr: mac, state: [state] }] : "",
      )
    );
    const undo = new Rollback();
    if (!isTaken) {
      await guard(run, SPEC, undo);
      assertEquals(calls.at(-1), COMMANDS[0]?.replace("neigh add", "neigh replace"));
      continue;
    }
    const error = await assertRejects(() => guard(run, SPEC, undo), CniError, mac);
    assertEquals(error.code, 102);
    await undo.run(error);
    assertEquals(
      calls.at(-1),
      FLUSH.split("\n").slice(0, -1).join("\n"),
      "the link-local neighbour of the other container stays",
    );
  }
});

Deno.test("checkLockable() refuses a port without lock support in kernel or ip, code 2", () => {
  const port = (data: object) =>
    parseLink({ ifname: "av0", master: "br0", linkinfo: { info_slave_data: data } });
  // Root removed the bridge while the veth was made: the kernel is not too old.
  checkLockable(parseLink({ ifname: "av0" }));
  checkLockable(port({ locked: false }));
  checkLockable(port({ locked: true }));
  const error = assertThrows(
    () => checkLockable(port({ hairpin: false })),
    CniError,
    "can't be locked",
  );
  assertEquals(error.code, 2);
});
