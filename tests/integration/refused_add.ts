import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Host } from "./host.ts";

/** An ADD is refused because of the state (code 104), and its document names `named`. */
export async function assertAddRefused(host: Host, id: string, named: string): Promise<void> {
  const { code, json, stdout } = await host.cni("ADD", { id });
  assertEquals(
    [code, json?.code],
    [1, 104],
    `an address is allocated in spite of "${named}": ${stdout}`,
  );
  assertStringIncludes(`${json.msg} ${json.details}`, named);
}
