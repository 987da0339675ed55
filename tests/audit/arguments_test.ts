import { groupOf } from "../../lib/base/names.ts";
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { aliasOf, hostVethName } from "../../lib/base/attachment.ts";
import { CniError } from "../../lib/base/errors.ts";
import type { Mac } from "../../lib/base/mac.ts";
import { parseConfig, parseDocument, parseInvocation, parseVersion } from "../../lib/config.ts";
import { openKernel, type RunIp } from "../../lib/netops.ts";
import { bridgeSpec, gatewaysOf } from "../../lib/plugin.ts";
import { Rollback } from "../../lib/rollback.ts";
import { CONFIG, type Json } from "../integration/host.ts";

/** Texts that try to make `ip` do something else. */
const HOSTILE: readonly string[] = [
  "-batch",
  "-n",
  "--help",
  "-force",
  "-netns",
  "x -batch /run/x",
  "x\nlink del dev lo",
  "x\rlink del dev lo",
  "x\u2028link del dev lo",
  "x;reboot",
  "$(reboot)",
  "`reboot`",
  "x|reboot",
  "x&&reboot",
  "x > /etc/passwd",
  '"',
  "'",
  "\\",
  "x\\",
  '" netns exec x reboot #',
  "# x",
  "%s%n",
  "x%d",
  "../../etc/passwd",
  "/etc/passwd",
  "netns exec x reboot",
  "exec",
  "dev",
  "up",
  "type",
  "help",
  "all",
  "*",
  "~",
  "\u0000",
  "\t",
  " ",
  "",
  "é\u0301",
  "x".repeat(300),
];

/** Each way by which text from outside comes in. */
const WAYS: Readonly<Record<string, (text: string) => { env?: Json; config?: Json }>> = {
  "container ID": (text) => ({ env: { CNI_CONTAINERID: text } }),
  "interface name": (text) => ({ env: { CNI_IFNAME: text } }),
  "namespace": (text) => ({ env: { CNI_NETNS: text } }),
  "namespace below /run/netns": (text) => ({ env: { CNI_NETNS: `/run/netns/${text}` } }),
  "pod's name": (text) => ({
    env: { CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${text}` },
  }),
  "pod's namespace": (text) => ({
    env: { CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${text};K8S_POD_NAME=web` },
  }),
  "MAC": (text) => ({ env: { CNI_ARGS: `MAC=${text}` } }),
  "network": (text) => ({ config: { name: text } }),
  "bridge": (text) => ({ config: { bridge: text } }),
  "subnet": (text) => ({ config: { subnet: text } }),
  "gateway": (text) => ({ config: { gateway: text } }),
  "IPv6 subnet": (text) => ({ config: { subnet6: text } }),
  "IPv6 gateway": (text) => ({ config: { gateway6: text } }),
  "MTU": (text) => ({ config: { mtu: text } }),
  "MAC of the runtime": (text) => ({ config: { runtimeConfig: { mac: text } } }),
  "address": (text) => ({ config: { runtimeConfig: { ips: [text] } } }),
  "route": (text) => ({ config: { ipam: { routes: [{ dst: text }] } } }),
  "gateway of a route": (text) => ({
    config: { ipam: { routes: [{ dst: "0.0.0.0/0", gw: text }] } },
  }),
  "metric of a route": (text) => ({
    config: { ipam: { routes: [{ dst: "0.0.0.0/0", priority: text }] } },
  }),
};

const DUAL = { ...CONFIG, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };

/** Arguments of `ip` that a value follows. */
const TAKE_A_VALUE = [
  "name",
  "dev",
  "master",
  "alias",
  "netns",
  "address",
  "to",
  "via",
  "add",
  "lladdr",
];

Deno.test("no input reaches ip as an option, as another command or as another line", async () => {
  const plain = await commands({});
  assert(plain.length > 10, "no ip ran");
  // An empty gateway counts as absent.
  const routed = await commands({ config: { ipam: { routes: [{ dst: "0.0.0.0/0" }] } } });
  let passed = 0;
  for (const [way, change] of Object.entries(WAYS)) {
    for (const text of HOSTILE) {
      const lines = await commands(change(text));
      if (lines.length === 0) continue;
      passed++;
      const where = `${way} ${JSON.stringify(text)}: ${JSON.stringify(lines)}`;
      const usual = way === "gateway of a route" ? routed : plain;
      assertEquals(lines.map(({ length }) => length), usual.map(({ length }) => length), where);
      lines.forEach((words, line) =>
        words.forEach((word, at) => {
          if (word === usual[line]?.[at]) return;
          // The group of a network's host veths is a hash.
          if (words[at - 1] === "group") return assert(/^\d+$/.test(word), where);
          assert(TAKE_A_VALUE.includes(words[at - 1] ?? ""), `"${word}" in ${where}`);
          // After `alias`, `ip` accepts any word.
          assert(words[at - 1] === "alias" || !word.startsWith("-"), `"${word}" in ${where}`);
        })
      );
    }
  }
  assert(passed > 50, `only ${passed} texts were accepted`);
});

/** The options of `ip` that the plugin uses. */
const OPTIONS = ["-B", "-N", "-d", "-j", "-n", "-batch", "-force"];

/** The command lines and batch lines that `ip` would get; empty if the input is refused. */
async function commands(
  { env = {}, config = {} }: { env?: Json; config?: Json },
): Promise<string[][]> {
  const lines: string[][] = [];
  const record: RunIp = (args, stdin) => {
    const command = [...args];
    for (let first = command[0]; first?.startsWith("-"); first = command[0]) {
      assert(OPTIONS.includes(first), `"${first}" in ${args.join(" ")}`);
      command.shift();
      if (first === "-n") assert(command.shift()?.startsWith("../../../"), args.join(" "));
      if (first === "-batch") assertEquals(command.shift(), "-");
    }
    // Commands that a batch can't express run separately: the same commands.
    if (stdin === undefined) lines.push(command);
    else for (const line of stdin.trimEnd().split("\n")) lines.push(wordsOf(line));
    return Promise.resolve({
      argv: ["ip", ...args],
      success: true,
      status: 0,
      signal: null,
      stdout: "[]\n[]\n",
      stderr: "",
    });
  };
  try {
    await attach(record, { ...DUAL, ...config }, {
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/c1",
      CNI_IFNAME: "eth0",
      CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web",
      ...env,
    });
  } catch (error) {
    if (!(error instanceof CniError) || lines.length > 0) throw error;
  }
  // CHECK runs two at once; the first two words never come from outside.
  const key = (words: readonly string[]) => words.slice(0, 2).join(" ");
  return lines.sort((a, b) => key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}

/** All commands of `ip` that an ADD, a CHECK and a DEL run with these texts, with every flag. */
async function attach(run: RunIp, raw: Json, env: Record<string, string>): Promise<void> {
  const invocation = parseInvocation("ADD", (name) => env[name]);
  const root = parseDocument(JSON.stringify(raw));
  const config = parseConfig(root, parseVersion(root, "ADD"), invocation.args);
  const attachment = { network: config.name, ...invocation };
  const host = await hostVethName(attachment);
  const kernel = openKernel(undefined, run);
  const { netns, ifname } = invocation;
  const undo = new Rollback();
  const attaching = kernel.attach({
    bridge: { ...bridgeSpec(config), mac: "fe:00:00:00:00:02" as Mac },
    host,
    hostMac: "fe:00:00:00:00:01" as Mac,
    alias: aliasOf(attachment, invocation.args.pod),
    netns,
    ifname,
    group: groupOf(config.name),
    hairpin: true,
    isolated: true,
    guarded: true,
  }, undo);
  // The recorder has no veth to read back.
  await attaching.catch((error) => assert(error instanceof CniError));
  const { bridge, routes } = config;
  const addresses = gatewaysOf(config);
  const ips = addresses.map(({ ip }) => ip);
  const mac = config.requestedMac ?? ("fe:00:00:00:00:03" as Mac);
  const neighbours = ips.map((ip) => ({ ip, mac }));
  const inside = { netns, ifname, ifindex: undefined, mac, up: true };
  await kernel.configure({ ...inside, addresses, routes, guarded: true, neighbours });
  await kernel.guard({ bridge, host, mac, ips }, undo);
  await kernel.flushNeighbours(bridge, ips);
  await kernel.detach(host, mac);
  await kernel.inspect({ bridge, host, netns, ifname, guarded: true });
}

/** A line as `ip -batch` reads it: words, and quoted words. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
}

Deno.test("ip is the only program, run in one place, without a shell and without an environment", async () => {
  const root = fromFileUrl(new URL("../../", import.meta.url));
  const places: string[] = [];
  for (const path of sources(`${root}lib`).concat(`${root}main.ts`)) {
    const text = await Deno.readTextFile(path);
    const name = path.slice(root.length);
    if (/Deno\.Command|child_process|Deno\.run/.test(text)) places.push(name);
    // In a compiled file, an import with a computed name reads outside of the scope.
    assertEquals(/\bimport\(/.test(text), false, `${name} imports at run time`);
    assertEquals(/\beval\(|new Function\(|\bWorker\(/.test(text), false, name);
  }
  assertEquals(places, ["lib/netops/processes.ts"]);
  assert((await Deno.readTextFile(`${root}lib/netops/processes.ts`)).includes("clearEnv: true"));
});

function sources(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? sources(`${folder}/${name}`) : name.endsWith(".ts") ? [`${folder}/${name}`] : []
  );
}
