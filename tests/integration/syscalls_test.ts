import { assert, assertEquals } from "@std/assert";
import { type Host, hostTest, STATE_FOLDER } from "./host.ts";
import { holdLock } from "./lock_holder.ts";

/** Sockets except those of `ip`, which talks to the kernel, and of the C library, which looks for a name service. */
const NETWORK = "socket\\(AF_INET|connect\\(.*(AF_INET|sin_addr|sin6_addr)|sendto\\(.*sin_addr";
const TRACED = [
  "strace",
  "-f",
  "-o",
  "/run/trace",
  "-e",
  "trace=socket,connect,sendto,sendmmsg",
];

async function assertNoNetwork(host: Host): Promise<void> {
  assert((await host.sh("wc -l </run/trace")).trim() !== "0", "nothing was traced");
  const { stdout } = await host.run(["grep", "-E", NETWORK, "/run/trace"]);
  assertEquals(stdout, "", "a socket to somewhere else");
}

hostTest("an ADD that waits seconds for the lock opens no network socket", async (host) => {
  await host.containers("c1", "c2");
  await host.add();
  await holdLock(host, 4);
  const began = performance.now();
  const { code, stdout } = await host.cni("ADD", { id: "c2", under: TRACED });
  assertEquals(code, 0, stdout);
  assert(performance.now() - began > 2500, "it did not wait");
  await assertNoNetwork(host);
});

hostTest("the state folder and those below it are created private in one step", async (host) => {
  await host.containers("c1");
  await host.sh(`umount ${STATE_FOLDER}; mount -t tmpfs tmpfs /var/lib`);
  const dataDir = `${STATE_FOLDER}/a/b`;
  const trace = ["strace", "-ff", "-o", "/run/trace", "-e", "trace=mkdir,mkdirat"];
  const under = ["sh", "-c", 'umask 0; exec "$@"', "sh", ...trace];
  const { code, stdout } = await host.cni("ADD", {
    config: {
      cniVersion: "1.1.0",
      name: "podnet",
      type: "atomicni",
      bridge: "atomic0",
      subnet: "10.86.0.0/24",
      gateway: "10.86.0.1",
      ipam: { dataDir },
    },
    under,
  });
  assertEquals(code, 0, stdout);
  const made = (await host.sh("grep -hF /var/lib/atomicni /run/trace.* | grep ' = 0' || :"))
    .split("\n").filter((line) => line !== "" && !line.includes("/.deno/"));
  assert(made.length >= 3, `made: ${made}`);
  for (const line of made) {
    assert(/, 0700\) += 0$/.test(line), `accessible to others at first: ${line}`);
  }
});
