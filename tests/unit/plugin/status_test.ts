import { assertEquals, assertRejects } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { mustServe, status } from "../../../lib/plugin.ts";
import { config, effects } from "./world.ts";

Deno.test("STATUS is code 50 for whatever an ADD would fail with", async () => {
  for (const failing of ["readable", "writable", "mustFit", "inspectBridge", "mustBeWhole"]) {
    const tools = effects({ failing });
    const error = await assertRejects(() => status(config(), tools), CniError, failing);
    assertEquals(error.code, 50, failing);
  }
  const full = effects({ failing: "full" });
  const error = await assertRejects(() => status(config(), full), CniError, "all are held");
  assertEquals(error.code, 50);
  const layer2 = config({ subnet: undefined, gateway: undefined, ipam: {} });
  await mustServe(layer2, effects({ failing: "mustBeWhole" }));
  const unguardable = effects({ veths: [{ ifname: "veth0", kind: "veth", master: "br0" }] });
  const guarded = config({ macspoofchk: true });
  assertEquals(
    (await assertRejects(() => mustServe(guarded, unguardable), CniError, "can't be locked")).code,
    2,
  );
});
