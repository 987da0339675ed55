import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { type CniCommand, isCommand, parseInvocation } from "../../../lib/config/environment.ts";

Deno.test("parseInvocation() requires the variables of each command", () => {
  const all: Record<string, string> = {
    CNI_CONTAINERID: "c1",
    CNI_NETNS: "/run/netns/c1",
    CNI_IFNAME: "eth0",
    CNI_PATH: "/opt/cni/bin",
  };
  const rows: [CniCommand, string[]][] = [
    ["ADD", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]],
    ["DEL", ["CNI_CONTAINERID", "CNI_IFNAME"]],
    ["CHECK", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]],
    ["GC", ["CNI_PATH"]],
    ["STATUS", []],
  ];
  for (const [command, needed] of rows) {
    parseInvocation(command, (name) => needed.includes(name) ? all[name] : undefined);
    if (needed.length === 0) continue;
    // An empty value counts as absent (rule E1); all missing variables are reported at once (E2).
    const missing = `required env variables [${needed.join(",")}] missing`;
    const error = assertThrows(() => parseInvocation(command, () => ""), CniError, missing);
    assertEquals(error.code, 4);
  }
});

Deno.test("parseInvocation() refuses invalid values", () => {
  const rows: [string, string, number, string][] = [
    ["CNI_CONTAINERID", "../x", 4, "invalid characters in containerID"],
    ["CNI_CONTAINERID", "c1\n", 4, "invalid characters in containerID"],
    ["CNI_IFNAME", "1234567890123456", 4, "too long"],
    ["CNI_IFNAME", "eth%d", 4, "replace the %"],
    ["CNI_NETNS", "run/netns/c1", 8, "not an absolute path"],
    ["CNI_NETNS", "/a\0b", 8, "which ip can't be given"],
    ["CNI_NETNS", '/run/a"b', 8, "which ip can't be given"],
    ["CNI_ARGS", "FOO", 4, "CNI_ARGS"],
  ];
  for (const [name, value, code, message] of rows) {
    const env: Record<string, string> = {
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/c1",
      CNI_IFNAME: "eth0",
      [name]: value,
    };
    const error = assertThrows(() => parseInvocation("ADD", (it) => env[it]), CniError, message);
    assertEquals(error.code, code, name);
  }
  // A wrong value is reported even if others are missing (rule E3); DEL depends on no arguments (E19).
  assertThrows(
    () => parseInvocation("ADD", (it) => it === "CNI_IFNAME" ? "a b" : undefined),
    CniError,
    "whitespace",
  );
  const env: Record<string, string> = {
    CNI_CONTAINERID: "c1",
    CNI_IFNAME: "eth0",
    CNI_ARGS: "FOO",
  };
  const none = { ip: undefined, mac: undefined, pod: undefined };
  assertEquals(parseInvocation("DEL", (it) => env[it]).args, none);
  // A DEL passes no name to the kernel, so it accepts names that only an ADD refuses.
  assertEquals<string>(
    parseInvocation("DEL", (it) => ({ ...env, CNI_IFNAME: "eth%d" })[it]).ifname,
    "eth%d",
  );
  assertEquals(["ADD", "add", "VERSION", ""].map(isCommand), [true, false, false, false]);
});
