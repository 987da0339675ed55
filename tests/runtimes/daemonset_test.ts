import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Containerd } from "./containerd.ts";
import { Cri } from "./cri.ts";
import { DEPLOY, nodeTest } from "./node.ts";

const CONFLIST = "/etc/cni/net.d/10-atomicni.conflist";
const WORDS = "AtomicNI is leaving this node";
const NETWORK = {
  cniVersion: "1.0.0",
  name: "podnet",
  plugins: [{
    type: "atomicni",
    bridge: "atomic0",
    isDefaultGateway: true,
    ipam: { type: "host-local", ranges: [[{ subnet: "10.244.3.0/24" }]] },
  }],
};

nodeTest("DaemonSet: while it leaves, containerd ends pods, and starts none", async (node) => {
  await node.write(CONFLIST, JSON.stringify(NETWORK));
  await Containerd.start(node);
  using cri = await Cri.connect(node);
  const before = await cri.runPod({ name: "before" });
  await node.sh(`
host='' scratch=/run conflist=${CONFLIST}
say() { :; }
. ${DEPLOY}/kubernetes/host.sh
. ${DEPLOY}/kubernetes/leave.sh
refuse_pods "${WORDS}"`);
  const refused = await assertRejects(() => cri.runPod({ name: "after" }), Error);
  assertStringIncludes(refused.message, WORDS);
  await cri.removePod(before);
  assertEquals([await node.hostVeths(), await node.leases("podnet")], [[], {}]);
});
