import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import {
  dump,
  ipFailed,
  type IpOutput,
  isBatchWord,
  parseIpJson,
  runBatch,
  type RunIp,
} from "../../../lib/netops/ip.ts";

function output(changes: Partial<IpOutput> = {}): IpOutput {
  return {
    argv: ["ip"],
    success: true,
    status: 0,
    signal: null,
    stdout: "",
    stderr: "",
    ...changes,
  };
}

/** A fake `ip` that records its calls. */
function recorder(answer: (args: readonly string[]) => IpOutput = () => output()) {
  const calls: [readonly string[], string | undefined][] = [];
  const run: RunIp = (args, stdin) => {
    calls.push([args, stdin]);
    return Promise.resolve(answer(args));
  };
  return { calls, run };
}

Deno.test("runBatch() sends several commands to one process, quoted if necessary", async () => {
  const rows: [string[][], string][] = [
    [[["link", "show"], ["addr", "show"]], "link show\naddr show\n"],
    [[["a", "web/front podnet/c1/eth0"], ["b"]], 'a "web/front podnet/c1/eth0"\nb\n'],
    [[["a", "x;y"], ["b", "$(z)`é"]], "a x;y\nb $(z)`é\n"],
  ];
  for (const [lines, stdin] of rows) {
    const { calls, run } = recorder();
    await runBatch(run, ["-j"], lines);
    assertEquals(calls, [[["-j", "-batch", "-"], stdin]]);
  }
});

Deno.test("runBatch() rejects a word that a batch can't express", async () => {
  for (const word of ['a"b', "a'b", "a#b", "a\\b", "a\nb", "a\tb", "a\rb", "a\0b", ""]) {
    const { calls, run } = recorder();
    assertEquals(isBatchWord(word), false);
    await assertRejects(
      () => runBatch(run, ["-j"], [["one", word]]),
      Error,
      "can't be part of a batch",
    );
    assertEquals(calls, []);
  }
  for (const word of ["a", "a b", "x;y", "$(z)`é", "../../../run/netns/c1"]) {
    assertEquals(isBatchWord(word), true);
  }
});

Deno.test("dump() reads again if links changed, and fails after the last try, code 11", async () => {
  const answers = (interrupted: number) => {
    let calls = 0;
    const run: RunIp = () => {
      const stderr = calls++ < interrupted ? "Dump was interrupted and may be inconsistent." : "";
      return Promise.resolve(output({ stdout: `[{"call":${calls}}]\n`, stderr }));
    };
    return { run, calls: () => calls };
  };
  const some = answers(3);
  assertEquals(await dump(some.run, "list it", ["-j", "link"]), [{ call: 4 }]);
  const always = answers(Infinity);
  const error = await assertRejects(
    () => dump(always.run, "list it", []),
    CniError,
    "came and went",
  );
  assertEquals([error.code, always.calls()], [11, 8]);
  const { run } = recorder(() => output({ success: false, status: 1, stderr: "no" }));
  assertEquals((await assertRejects(() => dump(run, "list it", []), CniError)).code, 100);
});

Deno.test("parseIpJson() returns a list per command and drops empty objects", () => {
  const stdout = '[{"ifname":"lo"},{},{}]\n\n[]\n[{"a":1}]\n';
  assertEquals(parseIpJson(output({ stdout })), [[{ ifname: "lo" }], [], [{ a: 1 }]]);
  assertEquals(parseIpJson(output()), []);
  assertEquals(parseIpJson(output({ stdout: '[{"ifalias":"\x1b[31m\x01"}]\n' })), [
    [{ ifalias: "\x1b[31m\x01" }],
  ]);
  for (const bad of ["{}", "1: lo: <LOOPBACK>", "[{"]) {
    const error = assertThrows(() => parseIpJson(output({ stdout: bad })), CniError, "not a list");
    assertEquals(error.code, 100);
  }
});

Deno.test("ipFailed() reports argv, exit status and stderr", () => {
  const failed = output({ argv: ["ip", "link"], success: false, status: 2, stderr: "no" });
  const error = ipFailed("make it", failed);
  assertEquals([error.code, error.message, error.details], [
    100,
    "Cannot make it: ip failed with exit status 2",
    "ip link: no; atomicni doctor < CONFIGURATION looks for the cause",
  ]);
  assertEquals(
    ipFailed("x", { ...failed, signal: "SIGKILL" }).message.endsWith("by SIGKILL"),
    true,
  );
  assertEquals(
    ipFailed("x", { ...failed, stderr: "BusyBox v1.36.1 multi-call binary" }).message,
    "Cannot x: the ip of BusyBox v1.36.1 is not iproute2",
  );
  assertEquals(
    ipFailed("x", { ...failed, stderr: "" }).details,
    "ip link: nothing on stderr; atomicni doctor < CONFIGURATION looks for the cause",
  );
});
