import { assertEquals } from "@std/assert";
import { breakIp, ipLog } from "./broken_ip.ts";
import { CONFIG, type Host, hostTest } from "./host.ts";
import { holdLock, WAITING } from "./lock_holder.ts";
import { untilSh } from "../until.ts";

/** Each `ip` notes its process ID. If /run/hang exists, it does not read its stdin. */
const NOTING = `#!/bin/sh
echo $$ >>/run/pids
[ -e /run/hang ] && exec sleep 30
exec /run/ip.real "$@"
`;

/** The noted processes that still run after two seconds. */
async function left(host: Host): Promise<string> {
  return await host.sh(`n=0; while [ $((n += 1)) -lt 40 ]; do
      out=$(for it in $(cat /run/pids); do readlink /proc/$it/exe || :; done)
      [ -z "$out" ] && exit 0; sleep 0.05
    done; echo "$out"`);
}

/** Starts an ADD that waits for the lock, which is held. Returns when its second `ip` waits for a batch. */
async function waitingAdd(host: Host, end: string): Promise<number> {
  await host.sh("rm -f /run/pids");
  const holder = await holdLock(host, 30);
  const under = ["sh", "-c", 'echo $$ >/run/plugin; exec "$0" "$@"'];
  const adding = host.cni("ADD", { under });
  await host.sh(untilSh(`grep -q -- "${WAITING}" /proc/locks`));
  await host.sh(
    `test "$(wc -l </run/pids)" = 2; readlink /proc/$(tail -n 1 /run/pids)/exe; ${end}`,
  );
  const { code } = await adding;
  await host.sh(`kill ${holder}`);
  return code;
}

hostTest("no ip is left after an ADD that is refused or ended", async (host) => {
  await host.containers("c1");
  await host.add();
  await host.del();
  await breakIp(host, "");
  await host.run(["tee", "/run/ip.fake"], NOTING);

  await host.sh(": >/run/hang");
  const refused = await host.cni("ADD", { config: { ...CONFIG, mtu: 1 } });
  await host.sh("rm /run/hang");
  assertEquals(refused.json?.code, 7, refused.stdout);
  assertEquals(await host.sh("wc -l </run/pids"), "1\n");
  assertEquals(await left(host), "", "refused because of its configuration");

  assertEquals(await waitingAdd(host, "kill -TERM $(cat /run/plugin)"), 1);
  assertEquals(await left(host), "", "SIGTERM");
  assertEquals(await waitingAdd(host, "kill -KILL $(cat /run/plugin)"), 137);
  assertEquals(await left(host), "", "SIGKILL");
  await host.del();
  await host.assertNothingLeft();
});

hostTest("a DEL of a lease runs two ip: one looks at its veth, one removes it", async (host) => {
  await host.containers("c1");
  await host.add();
  await breakIp(host, "");
  await host.del();
  const lines = (await ipLog(host)).split("\n");
  assertEquals(lines.filter((line) => line.startsWith("ip ")).length, 2, lines.join("\n"));
  const words = lines.filter((line) => line.startsWith("link ")).map((line) => line.split(" ")[1]);
  assertEquals(words, ["show", "show", "set", "del"]);
  await host.assertNothingLeft();
});
