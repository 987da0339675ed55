/** Loads the rules with the nftables of each supported Debian. */
import { assert, assertEquals } from "@std/assert";
import { hostTest, run } from "../integration/host.ts";
import { NETWORK } from "./scene.ts";

const CONFIG = { cniVersion: "1.1.0", type: "atomicni", ...NETWORK, portIsolation: true };
const ARGUMENTS = ["10.0.0.0/8", "10.244.0.0/16", "fd00::/16"];

for (const [suite, version] of [["bullseye", "0.9.8"], ["bookworm", "1.0.6"], ["trixie", "1.1"]]) {
  hostTest(`the nftables of ${suite} loads and lists the host-rules`, async (host) => {
    const made = await run([
      "sh",
      "tools/debian/root",
      suite ?? "",
      "iproute2",
      "systemd",
      "nftables",
    ]);
    assertEquals(made.code, 0, made.stderr);
    const root = made.stdout.trim();
    // An overlay, because the folder is shared and must not change.
    await host.sh(`mkdir -p /run/layer/up /run/layer/work /run/layer/root
    mount -t overlay overlay -o lowerdir=${root},upperdir=/run/layer/up,workdir=/run/layer/work /run/layer/root`);
    const nft = (...args: string[]) => host.run(["chroot", "/run/layer/root", "nft", ...args]);
    assert((await nft("--version")).stdout.includes(version ?? "?"), suite);
    const rules = await host.program(["host-rules", ...ARGUMENTS], JSON.stringify(CONFIG));
    await host.run(["tee", "/run/layer/root/rules"], rules.stdout);
    // Loads the rules again, as after a change.
    for (let times = 0; times < 2; times++) {
      const { code, stderr } = await nft("-f", "/rules");
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
    }
    const count = (text: string) => text.match(/ counter [^\n]*drop/g)?.length;
    const own = await nft("list", "ruleset");
    assertEquals([own.code, count(own.stdout)], [0, count(rules.stdout)]);
    // The older nft lists rules that this machine's nft loaded, and vice versa.
    const here = await host.run(["nft", "list", "ruleset"]);
    assertEquals([here.code, count(here.stdout)], [0, count(rules.stdout)]);
    await host.sh("nft flush ruleset; nft -f /run/layer/root/rules");
    const listed = await nft("list", "ruleset");
    assertEquals([listed.code, count(listed.stdout)], [0, count(rules.stdout)]);
  });
}
