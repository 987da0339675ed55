/**
 * A program that tries forbidden accesses. It is built as the plugin is, with the same permissions, and prints one
 * JSON line for each try.
 */

const OUTSIDE = "/etc/hostname";
const STATE = "/var/lib/atomicni";

type Try = readonly [name: string, attempt: () => unknown];

const TRIES: readonly Try[] = [
  ["read another file", () => Deno.readTextFileSync(OUTSIDE)],
  [
    "read it by a path that leads out of the folder",
    () => Deno.readTextFileSync(`${STATE}/../../..${OUTSIDE}`),
  ],
  ["read the environment in /proc", () => Deno.readTextFileSync("/proc/self/environ")],
  ["look at another file", () => Deno.statSync("/etc/shadow")],
  ["list another folder", () => [...Deno.readDirSync("/")]],
  ["write another file", () => Deno.writeTextFileSync("/run/probe", "")],
  ["write a configuration of a runtime", () => Deno.writeTextFileSync("/etc/cni/net.d/probe", "")],
  ["make another folder", () => Deno.mkdirSync("/run/probe")],
  ["move a file out of the folder", () => Deno.renameSync(`${STATE}/inside`, "/run/probe")],
  ["copy a file into the folder", () => Deno.copyFileSync(OUTSIDE, `${STATE}/copy`)],
  ["make a symbolic link", () => Deno.symlinkSync(OUTSIDE, `${STATE}/link`)],
  ["make a hard link of another file", () => Deno.linkSync(OUTSIDE, `${STATE}/link`)],
  ["follow a symbolic link into /proc", () => Deno.readTextFileSync(`${STATE}/environ`)],
  ["run a shell", () => new Deno.Command("/bin/sh").outputSync()],
  ["run ip by another path", () => new Deno.Command("/run/ip", { args: ["-V"] }).outputSync()],
  [
    "run ip by a path through /proc",
    () => new Deno.Command("/proc/self/root/usr/bin/ip").outputSync(),
  ],
  [
    "run ip with a library of its own",
    () => new Deno.Command("/usr/sbin/ip", { env: { LD_PRELOAD: "/run/x.so" } }).outputSync(),
  ],
  ["replace ip", () => Deno.writeTextFileSync("/usr/sbin/ip", "")],
  ["use another variable", () => Deno.env.get("HOME")],
  ["use PATH", () => Deno.env.get("PATH")],
  ["use all variables", () => Deno.env.toObject()],
  ["set a variable", () => Deno.env.set("LD_PRELOAD", "/run/x.so")],
  ["connect to a host", () => Deno.connect({ hostname: "127.0.0.1", port: 8080 })],
  ["listen for connections", () => Deno.listen({ port: 0 })],
  [
    "connect to a socket of the host",
    () => Deno.connect({ transport: "unix", path: "/run/probe.sock" }),
  ],
  ["fetch a page", () => fetch("http://127.0.0.1:8080/")],
  ["fetch a file", () => fetch(`file://${OUTSIDE}`)],
  ["resolve a name", () => Deno.resolveDns("localhost", "A")],
  [
    "load a library",
    () =>
      Deno.dlopen("/lib/x86_64-linux-gnu/libc.so.6", { getpid: { parameters: [], result: "i32" } }),
  ],
  ["learn the host's name", () => Deno.hostname()],
  ["learn the user", () => Deno.uid()],
  ["kill another process", () => Deno.kill(1, "SIGURG")],
  ["request more permissions", () => granted({ name: "net" })],
];

function granted(descriptor: Deno.PermissionDescriptor): void {
  const { state } = Deno.permissions.requestSync(descriptor);
  if (state !== "granted") throw new Deno.errors.NotCapable(state);
}

for (const [name, attempt] of TRIES) {
  let outcome: string;
  try {
    await attempt();
    outcome = "done";
  } catch (error) {
    outcome = error instanceof Error ? error.constructor.name : String(error);
  }
  await Deno.stdout.write(new TextEncoder().encode(`${JSON.stringify([name, outcome])}\n`));
}
// The declared accesses have to work; otherwise a refusal of everything would look like a scope.
Deno.writeTextFileSync(`${STATE}/allowed`, "");
const allowed = new Deno.Command("/usr/sbin/ip", { args: ["-V"], clearEnv: true }).outputSync();
const variable = Deno.env.get("CNI_COMMAND") === "PROBE";
await Deno.stdout.write(new TextEncoder().encode(
  `${JSON.stringify(["a declared access", allowed.success && variable ? "done" : "refused"])}\n`,
));
