import { assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import {
  cniEnv,
  CONFIG,
  type Host,
  hostTest,
  type Json,
  PROGRAM,
  run,
} from "../integration/host.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const FILE = "/var/lib/atomicni/podnet.json";

/** This source with the next schema number, as a newer version; returns its command. */
async function newerVersion(): Promise<{ folder: string; program: string[] }> {
  const folder = await Deno.makeTempDir({ prefix: "atomicni-newer-" });
  const copied = await run(
    ["cp", "-r", "lib", "main.ts", "deno.json", folder].map((it) =>
      ["lib", "main.ts", "deno.json"].includes(it) ? ROOT + it : it
    ),
  );
  assertEquals(copied.code, 0, copied.stderr);
  const file = `${folder}/lib/ipam/damage.ts`;
  const text = await Deno.readTextFile(file);
  const changed = text.replace("export const SCHEMA = 3;", "export const SCHEMA = 4;");
  assertEquals(changed === text, false);
  await Deno.writeTextFile(file, changed);
  const options = ["run", "-q", "-P=plugin", "-c", `${folder}/deno.json`, "--no-prompt"];
  return { folder, program: [Deno.execPath(), ...options, `${folder}/main.ts`] };
}

async function call(host: Host, program: readonly string[], command: string, id = "c1") {
  const env = { ...Deno.env.toObject(), ...cniEnv(command, { id }) };
  const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const { stdout } = await host.run(["env", ...words, ...program], JSON.stringify(CONFIG));
  return (stdout === "" ? {} : JSON.parse(stdout)) as Json;
}

hostTest(
  "roll back to an older schema: drain, remove the file, and the older version works",
  async (host) => {
    const { folder, program: newer } = await newerVersion();
    try {
      await host.containers("c1", "c2");
      assertEquals((await call(host, newer, "ADD")).code, undefined);
      const { stdout } = await host.run(["cat", FILE]);
      assertEquals(JSON.parse(stdout).schema, 4);
      const refused = await call(host, PROGRAM, "ADD", "c2");
      assertEquals(refused.code, 104, JSON.stringify(refused));
      assertStringIncludes(refused.msg, "schema 4");
      // Draining works with the older version too: it ends the container, and leaves the lease to the newer version.
      assertEquals(await call(host, PROGRAM, "DEL"), {});
      const left = JSON.parse((await host.run(["cat", FILE])).stdout);
      assertEquals([left.schema, Object.keys(left.containerToIP)], [4, ["c1/eth0"]]);
      assertEquals((await call(host, PROGRAM, "ADD", "c2")).code, 104);
      await host.sh(`rm ${FILE}`);
      const added = await call(host, PROGRAM, "ADD");
      assertEquals(added.ips?.length, 1, JSON.stringify(added));
      assertEquals(await call(host, PROGRAM, "DEL"), {});
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
