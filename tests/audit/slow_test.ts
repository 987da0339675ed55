import { assert, assertEquals } from "@std/assert";
import { hostTest, located } from "../integration/host.ts";

/** A runtime that is slow to send stdin, longer than Deno waits before it looks for a new version of itself. */
const SLOW = `(sleep 1.5; echo '{}') |
CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin \\
  strace -f -qq -o /run/trace -e trace=socket,connect,exit_group`;

for (const file of ["bin/atomicni", "bin/atomicni.js"]) {
  hostTest(`a slow run opens no socket: ${file}`, async (host) => {
    await host.sh(`${SLOW} ${located(file)} || true`);
    const trace = await host.sh("cat /run/trace");
    assert(trace.includes("exit_group(1)"), trace);
    assertEquals(trace.match(/.*(connect\(|AF_INET).*/g), null);
  });
}
