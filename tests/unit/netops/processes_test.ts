import { assert, assertEquals, assertRejects } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { parseIpJson } from "../../../lib/netops/ip.ts";
import { Processes } from "../../../lib/netops/processes.ts";

/** IDs of the processes that this thread started; other test files run in other threads of this process. */
function children(): string[] {
  return Deno.readTextFileSync("/proc/thread-self/children").split(" ").filter((it) => it !== "");
}

Deno.test("Processes runs a batch in the process that was started ahead for it", async () => {
  const prepared = new Processes();
  const before = children();
  const started = () => children().filter((it) => !before.includes(it));
  const batch = prepared.ahead(["-j"]);
  prepared.ahead(["-d", "-j"]);
  const [first, second] = started();
  assert(first !== undefined && second !== undefined);
  const show = [["link", "show", "dev", "lo"]];
  const asked = batch(show);
  assertEquals(started(), [first, second], "a third was started");
  assertEquals(parseIpJson(await asked)[0]?.[0]?.["ifname"], "lo");
  assertEquals(started(), [second]);
  assertEquals((await batch(show)).success, true);
  await prepared.end();
  assertEquals(started(), []);
});

Deno.test("Processes runs the real ip without a shell, and reports the input of a failed ip", async () => {
  const { run: runIp } = new Processes();
  const version = await runIp(["-V"]);
  assert(version.success && version.stdout.includes("iproute2"));
  const failed = await runIp(["-batch", "-"], "link show dev nosuchlink0\n");
  assertEquals([failed.success, failed.status, failed.signal], [false, 1, null]);
  assert(failed.stderr.endsWith('; its input was "link show dev nosuchlink0\\n"'), failed.stderr);
  await assertRejects(() => runIp(["link", "show", "dev", "a\0b"]), CniError, "as ip");
});
