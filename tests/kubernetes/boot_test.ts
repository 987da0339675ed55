import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { run } from "../integration/host.ts";
import { debianRoot } from "./root_node.ts";
import { lifeTest } from "./tested_life.ts";

const BOOT = fromFileUrl(new URL("boot", import.meta.url));
const UML = fromFileUrl(new URL("../machine/uml", import.meta.url));

lifeTest(
  "a boot under systemd: modules, settings, folders and rules are in place before the kubelet starts",
  { suite: "trixie", uplink: "eth0", service: "127.0.0.1", ranges: ["10.244.3.0/24"] },
  async (life) => {
    await life.apply();
    await life.installed();
    // The disk stays as it is when the power is cut; a virtual machine boots with what the pod wrote below /etc.
    await life.node.powerOff();
    const etc = `${life.node.folder}/disk/upper/etc`;
    const root = await debianRoot("trixie", "iproute2", "systemd", "nftables", "kmod");
    const uml = (await run(["sh", UML])).stdout.trim();
    const boot = ["unshare", "-m", "--propagation", "private", "sh", BOOT, root, etc, uml];
    const { code, stdout, stderr } = await run(boot);
    assertEquals(
      [code, stdout.trimEnd().split("\n")],
      [0, [
        "forwarding 1",
        "bridge-nf-call-iptables 1",
        "state 700",
        "namespaces directory",
        "rules active",
        "table bridge atomicni_podnet",
      ]],
      stderr,
    );
  },
);
