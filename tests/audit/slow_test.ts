import { assert, assertEquals } from "@std/assert";
import { hostTest, located } from "../integration/host.ts";

/** A runtime that takes longer over stdin than Deno waits before it asks its makers for the newest version. */
const SLOW = `(sleep 1.5; echo '{}') |
CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin \\
  strace -f -qq -o /run/trace -e trace=socket,connect,exit_group`;

for (const file of ["bin/atomicni", "bin/atomicni.js"]) {
  hostTest(`a run that takes long opens no socket: ${file}`, async (host) => {
    await host.sh(`${SLOW} ${located(file)} || true`);
    const trace = await host.sh("cat /run/trace");
    assert(trace.includes("exit_group(1)"), trace);
    assertEquals(trace.match(/.*(connect\(|AF_INET).*/g), null);
  });
}
