import { assertEquals } from "@std/assert";
import type { Host, Json } from "../integration/host.ts";

/** Loads what `host-rules` prints for a network into the host's nftables. */
export async function loadRules(host: Host, config: Json): Promise<void> {
  const { code, stdout, stderr } = await host.program(["host-rules"], JSON.stringify(config));
  assertEquals(code, 0, stderr);
  const loaded = await host.run(["nft", "-f", "-"], stdout);
  assertEquals(loaded.code, 0, `${loaded.stderr}\n${stdout}`);
}
