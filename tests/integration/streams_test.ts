import { assertEquals } from "@std/assert";
import { cniEnv, CONFIG, hostTest } from "./host.ts";

/** Shell that runs the program given as its arguments, with a stdout that accepts nothing. */
const UNREADABLE = {
  "a full device": 'exec "$@" > /dev/full',
  "a pipe without a reader":
    'mkfifo /run/pipe; sleep 60 < /run/pipe & exec 9> /run/pipe; kill $!; wait $!; exec "$@" >&9',
};

for (const [what, script] of Object.entries(UNREADABLE)) {
  hostTest(`a document that can't be written is a failure: ${what}`, async (host) => {
    // VERSION prints a document of success, CHECK one of failure. ADD is tested in tests/audit.
    for (const command of ["VERSION", "CHECK"]) {
      await host.sh("rm -f /run/pipe");
      const env = { ...cniEnv(command, {}), PATH: "/usr/bin:/usr/sbin" };
      const under = ["sh", "-c", script, "sh"];
      const { code, stdout } = await host.program([], JSON.stringify(CONFIG), env, under);
      assertEquals([code, stdout], [1, ""], command);
    }
  });
}

/** Python that starts the program with non-blocking pipes as stdin and stdout, and gives and takes their data late. */
const NOT_BLOCKING = `
import os, subprocess, sys, time
given, stdin = os.pipe()
stdout, taken = os.pipe()
os.set_blocking(given, False)
os.set_blocking(taken, False)
os.write(taken, b" " * 65536)
process = subprocess.Popen(sys.argv[1:], stdin=given, stdout=taken)
os.close(given)
os.close(taken)
text = sys.stdin.buffer.read()
time.sleep(0.3)
os.write(stdin, text)
os.close(stdin)
time.sleep(0.5)
sys.stdout.buffer.write(open(stdout, "rb").read())
sys.exit(process.wait())
`;

hostTest("the program waits for non-blocking pipes", async (host) => {
  await host.containers("c1");
  const { code, json, stderr } = await host.cni("ADD", { under: ["python3", "-c", NOT_BLOCKING] });
  assertEquals([code, json?.ips[0].address], [0, "10.86.0.2/24"], stderr);
});

hostTest("VERSION answers although nobody closes its stdin", async (host) => {
  const script = 'mkfifo /run/open; exec 9<>/run/open; exec "$@" </run/open';
  const env = { ...cniEnv("VERSION", {}), PATH: "/usr/bin:/usr/sbin" };
  const { code, json } = await host.program([], "", env, ["sh", "-c", script, "sh"]);
  assertEquals([code, json.cniVersion], [0, "1.1.0"]);
});
