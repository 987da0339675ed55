import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { run } from "../integration/host.ts";
import { debianRoot } from "./root_node.ts";
import { lifeTest } from "./tested_life.ts";

const BOOT = fromFileUrl(new URL("boot", import.meta.url));
const KERNELS = fromFileUrl(new URL("../machine/kernels", import.meta.url));
const STARTED = ["containerd", "crio", "kubelet"];
const SEEN = [
  "ipv4/ip_forward 1",
  "ipv6/conf/all/forwarding 1",
  "ipv6/conf/eth0/accept_ra 2",
  "bridge/bridge-nf-call-iptables 1",
  "bridge/bridge-nf-call-ip6tables 1",
  "state 700",
  "namespaces directory",
  "rules active",
  "table inet atomicni_podnet",
  "table arp atomicni_podnet",
  "table bridge atomicni_podnet",
];

lifeTest(
  "a boot under systemd: modules, settings, folders and rules are in place before containers start",
  {
    ...{ suite: "trixie", uplink: "eth0", service: "127.0.0.1" },
    ranges: ["10.244.3.0/24", "fd00:10:244:3::/64"],
  },
  async (life) => {
    await life.apply();
    await life.installed();
    // The disk stays as it is when the power is cut; a virtual machine boots with what the pod wrote below /etc.
    await life.node.powerOff();
    const etc = `${life.node.folder}/disk/upper/etc`;
    const root = await debianRoot("trixie", "iproute2", "systemd", "nftables", "kmod");
    // The kernel of that Debian.
    const kernels = (await run(["sh", KERNELS])).stdout.trim().split("\n");
    const kernel = kernels.find((it) => it.includes("/6.12.")) ?? "";
    const { code, stdout, stderr } = await run(["sh", BOOT, root, etc, kernel]);
    const saw = stdout.trimEnd().split("\n");
    for (const name of STARTED) {
      const own = saw.filter((it) => it.startsWith(`${name}: `));
      assertEquals([code, own], [0, SEEN.map((it) => `${name}: ${it}`)], `${stdout}\n${stderr}`);
    }
  },
);
