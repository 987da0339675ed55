import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CniError } from "../lib/errors.ts";
import {
  BatchesAhead,
  ipFailed,
  type IpOutput,
  parseIpJson,
  runBatch,
  type RunIp,
  runIp,
} from "../lib/ip.ts";

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

/** An `ip` that notes how it was called. */
function recorder(answer: (args: readonly string[]) => IpOutput = () => output()) {
  const calls: [readonly string[], string | undefined][] = [];
  const run: RunIp = (args, stdin) => {
    calls.push([args, stdin]);
    return Promise.resolve(answer(args));
  };
  return { calls, run };
}

Deno.test("runBatch() feeds several commands to one process, quoted where they need it", async () => {
  const rows: [string[][], string][] = [
    [[["link", "show"], ["addr", "show"]], "link show\naddr show\n"],
    [[["a", "web/front podnet/c1/eth0"], ["b"]], 'a "web/front podnet/c1/eth0"\nb\n'],
    [[["a", ""], ["b"]], 'a ""\nb\n'],
    [[["a", "x;y"], ["b", "$(z)`é"]], "a x;y\nb $(z)`é\n"],
  ];
  for (const [lines, stdin] of rows) {
    const { calls, run } = recorder();
    await runBatch(run, ["-j"], lines);
    assertEquals(calls, [[["-j", "-batch", "-"], stdin]]);
  }
});

Deno.test("runBatch() starts a process each for what a batch can't express, and stops at a failure", async () => {
  for (const word of ['a"b', "a'b", "a#b", "a\\b", "a\nb", "a\tb"]) {
    const { calls, run } = recorder();
    await runBatch(run, ["-j"], [["one", word], ["two"]]);
    assertEquals(calls, [[["-j", "one", word], undefined], [["-j", "two"], undefined]]);
  }
  const { calls, run } = recorder((args) =>
    args.includes("two") ? output({ success: false, status: 2 }) : output({ stdout: "[1]\n\n" })
  );
  const { success, stdout } = await runBatch(run, [], [["one", '"'], ["two"], ["three"]]);
  assertEquals([success, stdout.startsWith("[1]\n"), calls.length], [false, true, 2]);
});

/** Process IDs of this process's children. */
function children(): string[] {
  const task = `/proc/${Deno.pid}/task`;
  return [...Deno.readDirSync(task)].flatMap(({ name }) =>
    Deno.readTextFileSync(`${task}/${name}/children`).split(" ").filter((it) => it !== "")
  );
}

Deno.test("BatchesAhead runs what is asked for by the process that waits for it", async () => {
  const ahead = new BatchesAhead();
  const before = children();
  const started = () => children().filter((it) => !before.includes(it));
  ahead.start(["-j"]);
  ahead.start(["-d", "-j"]);
  const [first, second] = started();
  assert(first !== undefined && second !== undefined);
  const asked = ahead.run(["-j", "-batch", "-"], "link show dev lo\n");
  assertEquals(started(), [first, second], "a third was started");
  assertEquals(parseIpJson(await asked)[0]?.[0]?.["ifname"], "lo");
  assertEquals(started(), [second]);
  assertEquals((await ahead.run(["-j", "-batch", "-"], "link show dev lo\n")).success, true);
  await ahead.end();
  assertEquals(started(), []);
});

Deno.test("parseIpJson() has a list for each command and drops empty objects", () => {
  const stdout = '[{"ifname":"lo"},{},{}]\n\n[]\n[{"a":1}]\n';
  assertEquals(parseIpJson(output({ stdout })), [[{ ifname: "lo" }], [], [{ a: 1 }]]);
  assertEquals(parseIpJson(output()), []);
  assertEquals(parseIpJson(output({ stdout: '[{"ifalias":"\x1b[31m\x01"}]\n' })), [
    [{ ifalias: "\x1b[31m\x01" }],
  ]);
  for (const bad of ["{}", "1: lo: <LOOPBACK>", "[{"]) {
    const error = assertThrows(() => parseIpJson(output({ stdout: bad })), CniError, "no list");
    assertEquals(error.code, 100);
  }
});

Deno.test("ipFailed() tells argv, exit status and stderr", () => {
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
    ipFailed("x", { ...failed, stderr: "" }).details,
    "ip link: nothing on stderr; atomicni doctor < CONFIGURATION looks for the cause",
  );
});

Deno.test("runIp() runs the real ip, says what it was given where it failed, and names no shell", async () => {
  const version = await runIp(["-V"]);
  assert(version.success && version.stdout.includes("iproute2"));
  const failed = await runIp(["-batch", "-"], "link show dev nosuchlink0\n");
  assertEquals([failed.success, failed.status, failed.signal], [false, 1, null]);
  assert(failed.stderr.endsWith('; its input was "link show dev nosuchlink0\\n"'), failed.stderr);
  await assertRejects(() => runIp(["link", "show", "dev", "a\0b"]), CniError, "as ip");
});
