/**
 * The part of the fuzz run that needs no kernel: `inside.ts SEED COUNT` gives that many inputs to `run()` with a
 * simulated `ip`. It needs a private host, because it uses the real state folder. Prints the faults as JSON.
 */
import { run } from "../../../main.ts";
import { FakeIp } from "./fake_ip.ts";
import type { Json } from "../../integration/host.ts";
import { type Case, caseOf, networkOf } from "./mutate.ts";
import { complaint } from "./verdict.ts";

const FOLDER = "/var/lib/atomicni";
const [seed = 0, count = 0] = Deno.args.map(Number);
const found: unknown[] = [];
const codes: Record<string, number> = {};

async function once({ env, stdin }: Case, ip: FakeIp) {
  const began = performance.now();
  const { stdout, stderr, exitCode } = await run({
    env: (name) => env[name],
    stdin: () => Promise.resolve(stdin),
    ip: ip.run,
  });
  return { exit: exitCode, stdout, stderr, ms: performance.now() - began };
}

/** Addresses held in any state file, temporary files, and marks of ADDs in progress. */
function leftInState(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return leftInState(path);
    if (/\.(tmp|add)$/.test(name)) return [path];
    if (!name.endsWith(".json")) return [];
    return Object.keys(JSON.parse(Deno.readTextFileSync(path)).containerToIP);
  });
}

/**
 * Runs in the mutated run's network that have to work before and after it: of a neighbour, or of the same
 * attachment.
 */
const others = (command: string, id: string, network: Json): Case => ({
  env: {
    CNI_COMMAND: command,
    CNI_CONTAINERID: id,
    CNI_NETNS: `/run/netns/${id}`,
    CNI_IFNAME: "eth0",
  },
  stdin: JSON.stringify(network),
});

for (let index = 0; index < count; index++) {
  let previous: unknown;
  const ip = new FakeIp(["c1", "c2"]);
  const network = networkOf(seed + index);
  const held = Object.keys(network.ipam ?? { own: true }).length > 0 ? ["10.86.0.9"] : [];
  const around: [string, Json][] = [];
  if (index % 2 === 1) around.push(["c2", { ...network, runtimeConfig: { ips: held } }]);
  if (index % 4 < 2) around.push(["c1", network]);
  for (const [id, config] of around) {
    previous = JSON.parse((await once(others("ADD", id, config), ip)).stdout);
  }
  const input = caseOf(seed + index, previous);
  const ended = await once(input, ip);
  const key = ended.exit === 0
    ? `${input.env["CNI_COMMAND"]} works`
    : `code ${JSON.parse(ended.stdout || "{}").code}`;
  codes[key] = (codes[key] ?? 0) + 1;
  let wrong = complaint(input, ended);
  if (ended.exit === 0 && input.env["CNI_COMMAND"] === "ADD") {
    const del = await once({ ...input, env: { ...input.env, CNI_COMMAND: "DEL" } }, ip);
    if (del.exit !== 0) wrong ??= `a DEL of the added attachment fails: ${del.stdout}`;
  }
  for (const [id, config] of around) {
    const { exit, stdout } = await once(others("DEL", id, config), ip);
    if (exit !== 0) wrong ??= `a DEL of the neighbour fails: ${stdout}`;
  }
  const left = [...ip.hostVeths, ...leftInState(FOLDER)];
  if (left.length > 0) wrong ??= `left behind: ${left.join(", ")}`;
  if (wrong !== undefined) {
    found.push({ seed: seed + index, wrong, input, ended });
    for (const { name } of Deno.readDirSync(FOLDER)) {
      Deno.removeSync(`${FOLDER}/${name}`, { recursive: true });
    }
  }
}
await Deno.stdout.write(
  new TextEncoder().encode(
    JSON.stringify({ found: found.slice(0, 20), total: found.length, codes }),
  ),
);
Deno.exit(0);
