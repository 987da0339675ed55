import { assertEquals } from "@std/assert";
import { hold, run } from "../integration/host.ts";
import { debianRoot } from "./root_node.ts";

/** nftables 0.9.8, 1.0.6, 1.1.3 and the newest. */
const SUITES = ["bullseye", "bookworm", "trixie", "forky"] as const;
const RULES = new URL("../../deploy/atomicni.nft", import.meta.url);
/**
 * A table of the reader, like that of kube-proxy. A newer nft's named set makes an older nft end, so our tables have
 * none.
 */
const OTHER = `table ip other {
  set addresses { type ipv4_addr; }
  chain input { type filter hook input priority 0; ip saddr @addresses drop; }
}`;

/** The program of another Debian, which needs its /dev/stdin. */
const IN_ROOT = `
mount --bind /dev "$0/dev"
mount -t proc proc "$0/proc"
exec chroot "$0" nft "$@"`;

/** A network namespace for each test, and each Debian's own nft in it. */
async function namespace(): Promise<{ holder: Deno.ChildProcess; pid: number }> {
  const holder = await hold(["-n"], "echo ready; exec sleep 600");
  return { holder, pid: holder.pid };
}

Deno.test("each other nft lists rules that one nft loaded, and changes tables next to them", async () => {
  const roots = await Promise.all(
    SUITES.map(async (suite) =>
      [suite, await debianRoot(suite, "iproute2", "systemd", "nftables")] as const
    ),
  );
  const rules = await Deno.readTextFile(RULES);
  const tried: string[] = [];
  for (const [loader, from] of roots) {
    for (const [reader, to] of roots) {
      const { holder, pid } = await namespace();
      const nft = (root: string, words: string, stdin = "") => {
        const enter = [
          "nsenter",
          "-t",
          `${pid}`,
          "-n",
          "unshare",
          "-m",
          "--propagation",
          "private",
        ];
        return run([...enter, "sh", "-ec", IN_ROOT, root, ...words.split(" ")], stdin);
      };
      try {
        const steps: [string, string, string?][] = [
          [from, "-f -", rules],
          [to, "-f -", OTHER],
          [to, "list ruleset"],
          [to, "-j list sets"],
          [to, "add element ip other addresses { 192.0.2.1 }"],
          [to, "-f -", rules],
          [to, "delete table inet atomicni_podnet"],
        ];
        for (const [root, words, stdin] of steps) {
          const { code, stderr } = await nft(root, words, stdin);
          assertEquals(
            [code, stderr],
            [0, ""],
            `loaded by ${loader}, read by ${reader}: nft ${words}`,
          );
        }
        tried.push(`${loader} ${reader}`);
      } finally {
        holder.kill("SIGKILL");
        await holder.status;
      }
    }
  }
  assertEquals(tried.length, SUITES.length ** 2);
});
