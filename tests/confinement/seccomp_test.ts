import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { BUILT, hostTest } from "../integration/host.ts";

const FORM = Deno.env.get("CONFINED") ?? "compiled";
const FILTER = fromFileUrl(new URL(`../../build/confined/${FORM}.bpf`, import.meta.url));

/** Actions of neither the plugin nor `ip`, as a Python program that ends with the name of the error. */
const REFUSED: Readonly<Record<string, string>> = {
  "a connection over IPv4": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
  "a query to a name server over IPv6": "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
  "raw frames": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
  "a socket that listens": "socket.socket(socket.AF_UNIX).listen()",
  "a process traced": "call(libc.ptrace, 0, 0, 0, 0)",
  "a program loaded into the kernel": "call(libc.syscall, 321, 0, 0, 0)",
  "a user namespace": "call(libc.unshare, 0x10000000)",
  "a network namespace": "call(libc.unshare, 0x40000000)",
  "another root": "call(libc.chroot, b'/')",
  "a module": "call(libc.syscall, 175, 0, 0, b'')",
  "a device": "os.mknod('/run/device', 0o20600, 0x103)",
  "another user": "call(libc.setuid, 1)",
};

const PRELUDE = `
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(function, *arguments):
    if function(*arguments) < 0: raise OSError(ctypes.get_errno(), "")
`;

/** `refused` if the kernel returns EPERM, else `done`. */
async function attempt(
  host: { run(command: string[]): Promise<{ stdout: string; stderr: string }> },
  code: string,
  under: readonly string[],
): Promise<string> {
  const script = `${PRELUDE}
try:
    ${code}
    print("done")
except OSError as error:
    print("refused" if error.errno == 1 else f"errno {error.errno}")`;
  const { stdout, stderr } = await host.run([...under, "/usr/bin/python3", "-c", script]);
  return stdout.trim() || stderr;
}

hostTest("the filter refuses actions of neither the plugin nor ip", async (host) => {
  const confined = ["sh", "-c", `exec bwrap --dev-bind / / --seccomp 9 -- "$@" 9<${FILTER}`, "sh"];
  for (const [name, code] of Object.entries(REFUSED)) {
    const free = await attempt(host, code, []);
    assert(free !== "refused", `${name}: refused without the filter too, so this shows nothing`);
    assertEquals(await attempt(host, code, confined), "refused", name);
  }
});

/** System calls of Deno on some processors only, so a run under the filter may not use them. */
const BY_PROCESSOR = ["pkey_alloc", "pkey_free", "pkey_mprotect"];

Deno.test("the filter allows Deno's calls on a processor with protection keys", async () => {
  const text = await Deno.readTextFile(
    new URL(`../../deploy/confinement/seccomp-${FORM}.json`, import.meta.url),
  );
  const rules = (JSON.parse(text) as { syscalls: { names: string[] }[] }).syscalls;
  const allowed = new Set(rules.flatMap(({ names }) => names));
  assertEquals(BY_PROCESSOR.filter((name) => !allowed.has(name)), []);
});

hostTest("without its filter the plugin does not run", async (host) => {
  const wrapper = await Deno.readTextFile(BUILT ?? "");
  assert(wrapper.includes(FILTER), "not the wrapper");
  const { code, stdout } = await host.run(
    ["sh", "-s"],
    wrapper.replace(FILTER, "/run/none"),
    { CNI_COMMAND: "VERSION" },
  );
  assertEquals([code !== 0, stdout], [true, ""]);
});
