import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import manifest from "../../deno.json" with { type: "json" };
import { CONFIG, hostTest, type Json } from "../integration/host.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

hostTest("the program uses every declared permission, and requests nothing else", async (host) => {
  await host.containers("c1");
  const runs: [string, Json][] = [["ADD", CONFIG], ["GC", CONFIG], ["DEL", CONFIG]];
  for (const [command, config] of runs) {
    const { code, stdout } = await host.run(
      [
        ...[Deno.execPath(), "run", "-q", "-P=plugin", "-c", `${ROOT}deno.json`, "--no-prompt"],
        `${ROOT}main.ts`,
      ],
      JSON.stringify(config),
      {
        CNI_COMMAND: command,
        CNI_CONTAINERID: "c1",
        CNI_NETNS: "/run/netns/c1",
        CNI_IFNAME: "eth0",
        CNI_PATH: "/opt/cni/bin",
        // Deno's own log of each requested access, granted or not; only the source form has it.
        DENO_AUDIT_PERMISSIONS: `/run/asked-${command}`,
        HOME: Deno.env.get("HOME") ?? "/",
        JSR_URL: Deno.env.get("JSR_URL") ?? "",
      },
    );
    assertEquals(code, 0, stdout);
  }
  const asked = (await host.sh("cat /run/asked-*")).trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  const values = (kind: string) =>
    [...new Set(asked.filter((it) => it.permission === kind).map((it) => it.value))].sort();
  const { env, read, write } = manifest.permissions.plugin;
  assertEquals(values("env"), [...env].sort());
  const outside = (kind: string, folders: readonly string[]) =>
    values(kind).filter((path) =>
      !folders.some((folder) => path === folder || path.startsWith(`${folder}/`))
    );
  assertEquals([outside("read", read), outside("write", write)], [[], []]);
  assertEquals([values("read").length > 0, values("write").length > 0], [true, true]);
  const kinds = [...new Set(asked.map((it) => it.permission))].sort();
  assertEquals(kinds.filter((it) => !["env", "read", "write", "run"].includes(it)), []);
});
