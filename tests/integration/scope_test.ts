import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import manifest from "../../deno.json" with { type: "json" };
import { breakIp, IP_LOG, ipLog } from "./broken_ip.ts";
import {
  CONFIG,
  type Host,
  hostTest,
  type Json,
  MODES,
  PROGRAM,
  run,
  STATE_FOLDER,
} from "./host.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const SCOPE = manifest.permissions.plugin;
const BUILT = PROGRAM.length === 1 ? PROGRAM[0] ?? "" : undefined;

/** Tries allowed and forbidden accesses; prints the outcome of each. */
const PROBE = `
const tries = {
  "state folder": () => Deno.readDirSync("${STATE_FOLDER}").next(),
  "state file": () => Deno.writeTextFileSync("${STATE_FOLDER}/probe", "x"),
  "ip": () => new Deno.Command("/usr/sbin/ip", { args: ["-V"], clearEnv: true }).outputSync(),
  "own variable": () => Deno.env.get("CNI_COMMAND"),
  "read a file": () => Deno.readTextFileSync("/etc/passwd"),
  "read by ..": () => Deno.readTextFileSync("${STATE_FOLDER}/../../../etc/passwd"),
  "read the environment": () => Deno.readTextFileSync("/proc/self/environ"),
  "read a namespace": () => Deno.statSync("/proc/self/ns/net"),
  "write a file": () => Deno.writeTextFileSync("/run/probe", "x"),
  "write next to it": () => Deno.writeTextFileSync("/var/lib/probe", "x"),
  "write a sysctl": () => Deno.writeTextFileSync("/proc/sys/net/ipv4/ip_forward", "1"),
  "link out": () => Deno.linkSync("/etc/passwd", "${STATE_FOLDER}/probe.link"),
  "symlink": () => Deno.symlinkSync("/etc/passwd", "${STATE_FOLDER}/probe.symlink"),
  "run a shell": () => new Deno.Command("/bin/sh", { args: ["-c", ":"] }).outputSync(),
  "run another program in ip's folder": () => new Deno.Command("/usr/sbin/nft", { clearEnv: true }).outputSync(),
  "connect": () => Deno.connect({ hostname: "127.0.0.1", port: 9 }),
  "listen": () => Deno.listen({ port: 0 }),
  "fetch": () => fetch("http://127.0.0.1:8080/"),
  "resolve": () => Deno.resolveDns("localhost", "A"),
  "other variable": () => Deno.env.get("HOME"),
  "all variables": () => Deno.env.toObject(),
  "load a library": () => Deno.dlopen("libc.so.6", {}),
  "system": () => Deno.hostname(),
  "signal": () => Deno.kill(1, "SIGCONT"),
};
const came = {};
for (const [name, act] of Object.entries(tries)) {
  try { await act(); came[name] = "done"; } catch (error) { came[name] = error.constructor.name; }
}
console.log(JSON.stringify(came));
`;
const ALLOWED = ["state folder", "state file", "ip", "own variable"];

/** Runs the probe like this form of the program; a compiled file can't be made to run another program. */
async function probe(host: Host): Promise<Record<string, string>> {
  const script = "/run/probe.js";
  const header = BUILT === undefined ? "" : (await run(["head", "-n", "2", BUILT])).stdout;
  await host.run(["tee", script], header + PROBE);
  await host.sh(`chmod 755 ${script}`);
  const { stdout, stderr } = BUILT === undefined
    ? await host.run([...PROGRAM.slice(0, -1), script])
    : await host.run([script]);
  assertMatch(stdout, /^\{.*\}\n$/, stderr);
  return JSON.parse(stdout);
}

if (BUILT === undefined || BUILT.endsWith(".js")) {
  hostTest("the declared scope allows the needed accesses and nothing else", async (host) => {
    for (const [name, came] of Object.entries(await probe(host))) {
      assertEquals(came, ALLOWED.includes(name) ? "done" : "NotCapable", name);
    }
  });
} else {
  Deno.test("the compiled file has exactly the declared scope", async () => {
    const pattern = '"permissions":\\{.*?\\}(?=,")';
    const { stdout } = await run(["grep", "-aoP", pattern, BUILT]);
    const found = stdout.trim().split("\n").at(-1) ?? "";
    const { permissions } = JSON.parse(`{${found}}`);
    // Deno always adds its own list of hosts for import(); an empty list of denials means that all is denied.
    const { allow_import: _, prompt, ...scope } = permissions;
    const granted = Object.entries(scope).filter(([, value]) => value !== null);
    assertEquals(Object.fromEntries(granted), {
      allow_env: SCOPE.env,
      allow_read: SCOPE.read,
      allow_run: SCOPE.run,
      allow_write: SCOPE.write,
      deny_import: [],
    });
    assertEquals(prompt, false);
  });
}

/** The first lines of the script form, which start this file with Deno. */
async function headerFor(deno: string): Promise<string> {
  const make = [Deno.execPath(), "run", "-q", "-A", `${ROOT}tools/build/script_header.ts`];
  return (await run([...make, deno])).stdout;
}

Deno.test("the script's first lines pass on the declared scope", async () => {
  const header = await headerFor("/bin/deno");
  const flags = header.match(/--allow-\S+/g) ?? [];
  assertEquals(flags, Object.entries(SCOPE).map(([kind, list]) => `--allow-${kind}=${list}`));
  assertMatch(header, / --no-prompt /);
  assertMatch(header, /exec \/usr\/bin\/env -i /);
});

Deno.test("the script's first lines pass on the declared variables, and replace the runtime's DENO_ variables", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const [deno, script] = [`${folder}/deno`, `${folder}/script`];
    await Deno.writeTextFile(deno, "#!/bin/sh\nexec env\n", { mode: 0o755 });
    await Deno.writeTextFile(script, await headerFor(deno), { mode: 0o755 });
    const own = ["DENO_DIR", "DENO_NO_UPDATE_CHECK", "GLIBC_TUNABLES", "HOME", "NO_COLOR", "PWD"];
    const others = ["s", "d", "h", "m", "TMPDIR", "LD_LIBRARY_PATH", "DENO_V8_FLAGS"];
    const evil = [...own, ...others, ...SCOPE.env].map((name) => [name, `evil ${name}`]);
    const { stdout, stderr } = await run([script], undefined, Object.fromEntries(evil));
    const found = new Map(
      stdout.trim().split("\n").map((line) => {
        const [name = "", ...value] = line.split("=");
        return [name, value.join("=")];
      }),
    );
    assertEquals([...found.keys()].sort(), [...own, ...SCOPE.env].sort(), stderr);
    for (const name of SCOPE.env) assertEquals(found.get(name), `evil ${name}`);
    // The runtime's settings about colours have an effect.
    for (const name of own.filter((it) => it !== "NO_COLOR")) {
      assert(!found.get(name)?.includes("evil"), `${name}=${found.get(name)}`);
    }
    assertMatch(
      found.get("GLIBC_TUNABLES") ?? "",
      /^glibc\.malloc\.\w+=\d+(:glibc\.malloc\.\w+=\d+)*$/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("no module is imported at run time, and no code is created from text", async () => {
  const { stdout } = await run(["sh", "-c", `ls ${ROOT}main.ts; find ${ROOT}lib -name '*.ts'`]);
  const files = stdout.trim().split("\n");
  assert(files.length > 20, stdout);
  for (const file of files) {
    const text = await Deno.readTextFile(file);
    assertEquals(
      text.match(
        /\bimport\s*\(|\beval\(|new Function|new Worker|Deno\.dlopen|"node:|"npm:|"https?:/g,
      ),
      null,
      file,
    );
  }
});

const TRACED =
  "execve,openat,mkdirat,mkdir,unlink,unlinkat,rename,renameat,renameat2,chmod,fchmodat,socket";

/** The system calls of the program, by strace: of its own process and of all it started. */
async function traced(host: Host, command: string, id: string): Promise<string[]> {
  const config = command === "CHECK" ? { ...CONFIG, prevResult: {} } : CONFIG;
  // One file per process: in a common file, an interrupted call is split into two lines. Process IDs wrap around, so only
  // the times show the order of the processes.
  const under = ["strace", "-ff", "-ttt", "-s", "400", "-o", "/run/trace", "-e", `trace=${TRACED}`];
  await host.sh("rm -f /run/trace.*");
  await host.cni(command, { id, config, under });
  const lines = (await host.sh("sort -n /run/trace.*")).split("\n");
  return lines.filter((line) => / = \d/.test(line));
}

function started(trace: readonly string[]): string[] {
  const all = trace.flatMap((line) => /execve\("([^"]+)"/.exec(line)?.[1] ?? []);
  // The programs that start the plugin: the file, and for a script its shell, env, Deno, and stat for the cache's folder.
  if (BUILT?.endsWith(".js") !== true) return all.slice(1);
  return all.filter((path) => path !== "/usr/bin/stat").slice(3);
}

hostTest(
  "an ADD starts ip twice, a DEL once or twice; nothing else is started or written",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "c1" });
    const add = await traced(host, "ADD", "c2");
    const del = await traced(host, "DEL", "c2");
    assertEquals(started(add), ["/usr/sbin/ip", "/usr/sbin/ip"]);
    // One ip shows the veth and removes it. If it answers too late, a second ip removes the veth.
    assertEquals([...new Set(started(del))], ["/usr/sbin/ip"]);
    assert(started(del).length <= 2, started(del).join(" "));
    for (const line of [...add, ...del]) {
      if (/execve\("\/usr\/sbin\/ip"/.test(line)) assertMatch(line, /\/\* 0 vars \*\/|\[\]\)/);
      assertEquals(/socket\(AF_INET/.test(line), false, line);
      const changes = /O_(WRONLY|RDWR|CREAT)|mkdir|unlink|rename|chmod/.test(line);
      const path = /"([^"]*)"/.exec(line)?.[1] ?? "";
      if (changes && path !== "/dev/null") assert(isOwn(path), line);
    }
  },
  MODES.slice(0, 1),
);

/** In the state folder; for the source form, also in Deno's cache. */
function isOwn(path: string): boolean {
  const cache = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
  return `${path}/`.startsWith(`${STATE_FOLDER}/`) ||
    (BUILT === undefined && `${path}/`.startsWith(`${cache}/`));
}

hostTest("ip is started with an empty environment, whatever the runtime passes", async (host) => {
  await host.containers("c1");
  await breakIp(host, `printf '%s\\n' "env:$(tr '\\0' ' ' </proc/$$/environ)" >>${IP_LOG}`);
  const env = { SECRET: "x", LC_ALL: "C.UTF-8", COLUMNS: "7" };
  for (const command of ["ADD", "DEL"]) {
    const { code, stdout } = await host.cni(command, { env });
    assertEquals(code, 0, stdout);
  }
  const log = (await ipLog(host)).split("\n");
  const environments = log.filter((line) => line.startsWith("env:"));
  assertNotEquals(environments.length, 0);
  assertEquals(new Set(environments), new Set(["env:"]));
}, MODES);

if (BUILT === undefined) {
  hostTest(
    "the program uses its whole scope, as far as a log of permissions shows",
    async (host) => {
      await host.containers("c1");
      const lines: Json[] = [];
      for (const command of ["ADD", "DEL", "GC"]) {
        await host.cni(command, { env: { DENO_AUDIT_PERMISSIONS: "/run/audit" } });
        const log = await host.sh("cat /run/audit; rm /run/audit");
        lines.push(...log.trim().split("\n").map((line) => JSON.parse(line)));
      }
      const values = (kind: string) =>
        new Set(lines.filter(({ permission }) => permission === kind).map(({ value }) => value));
      assertEquals([...values("env")].sort(), [...SCOPE.env].sort());
      for (const kind of ["read", "write"]) {
        assert(values(kind).has(`${STATE_FOLDER}/podnet.lock`), kind);
        for (const path of values(kind)) assert(isOwn(path), path);
      }
      assertEquals(
        new Set(lines.map(({ permission }) => permission)),
        new Set(["read", "write", "env"]),
      );
    },
  );
}
