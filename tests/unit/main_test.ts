import { assertEquals, assertStringIncludes } from "@std/assert";
import { run } from "../../main.ts";
import { SPEC_VERSIONS } from "../../lib/base/spec.ts";

const GOOD = JSON.stringify({
  cniVersion: "1.0.0",
  name: "podnet",
  bridge: "br0",
  subnet: "10.86.0.0/24",
  gateway: "10.86.0.1",
});

function invoke(env: Record<string, string>, stdin: string | Promise<string>) {
  return run({
    env: (name) => env[name],
    stdin: () => Promise.resolve(stdin),
  });
}

Deno.test("VERSION needs only CNI_COMMAND and repeats the request's version", async () => {
  const rows: [string | Promise<string>, string][] = [
    ["", "1.1.0"],
    ["{", "1.1.0"],
    ["null", "1.1.0"],
    ['{"cniVersion":"0.4.0"}', "0.4.0"],
    ['{"cniVersion":7}', "1.1.0"],
    ['{"cniVersion":"a\\nb"}', "1.1.0"],
    [Promise.reject(new Error("stdin is closed")), "1.1.0"],
  ];
  for (const [stdin, cniVersion] of rows) {
    const { stdout, stderr, exitCode } = await invoke(
      { CNI_COMMAND: "VERSION", CNI_IFNAME: "%%" },
      stdin,
    );
    assertEquals(JSON.parse(stdout), { cniVersion, supportedVersions: SPEC_VERSIONS });
    assertEquals([stderr, exitCode], ["", 0]);
  }
});

Deno.test("errors are reported in the order of environment, stdin, command, version, configuration", async () => {
  const all = { CNI_CONTAINERID: "c1", CNI_NETNS: "/run/netns/c1", CNI_IFNAME: "eth0" };
  const versioned = GOOD.replace("1.0.0", "9.0.0");
  const rows: [Record<string, string>, string, number, string, string][] = [
    [{ CNI_COMMAND: "ADD" }, "{", 4, "1.1.0", "required env variables"],
    [{ CNI_COMMAND: "ADD", ...all }, "{", 6, "1.1.0", "as a network configuration"],
    [{ CNI_COMMAND: "add", ...all }, "{", 6, "1.1.0", "as a network configuration"],
    [{ CNI_COMMAND: "add", ...all }, GOOD, 4, "1.1.0", "unknown CNI_COMMAND: add"],
    [{ CNI_COMMAND: "constructor", ...all }, GOOD, 4, "1.1.0", "unknown CNI_COMMAND: constructor"],
    [{}, GOOD, 4, "1.1.0", "unknown CNI_COMMAND: "],
    [{ CNI_COMMAND: "ADD", ...all }, versioned, 1, "1.1.0", "incompatible CNI versions"],
    [{ CNI_COMMAND: "STATUS" }, GOOD, 1, "1.1.0", "does not allow STATUS"],
    [{ CNI_COMMAND: "GC" }, GOOD, 4, "1.1.0", "[CNI_PATH] missing"],
    [{ CNI_COMMAND: "ADD", ...all }, GOOD.replace("br0", "b r"), 7, "1.0.0", "whitespace"],
  ];
  for (const [env, stdin, code, cniVersion, message] of rows) {
    const { stdout, stderr, exitCode } = await invoke(env, stdin);
    const document = JSON.parse(stdout);
    assertEquals([document.code, document.cniVersion, exitCode], [code, cniVersion, 1], message);
    assertStringIncludes(document.msg, message);
    assertEquals(stdout.endsWith("}\n"), true);
    assertStringIncludes(stderr, `atomicni: ${document.msg}`);
  }
});

Deno.test("a bug ends in one document of code 199", async () => {
  const { stdout, exitCode } = await run({
    env: () => {
      throw new RangeError("a bug");
    },
    stdin: () => Promise.resolve(""),
  });
  const { code, msg } = JSON.parse(stdout);
  assertEquals([code, exitCode], [199, 1]);
  assertStringIncludes(msg, "RangeError: a bug");
});
