/**
 * audit.ts FILE PROBE RUNTIME: prints the permissions of the built FILE, read from the file, then its actions, seen by
 * strace on a private host, and the actions that the same scope refuses to the built PROBE. RUNTIME is the program that
 * runs FILE: FILE itself for the compiled form. Status 1 if the actions differ from the permissions.
 */
import { CONFIG, Host, type Json, STATE_FOLDER } from "../integration/host.ts";
import manifest from "../../deno.json" with { type: "json" };
import { type Rule, ruleOf, rulesFor } from "./rules.ts";
import { type Scope, scopeLines, scopeOf } from "./scope.ts";
import { type Event, eventsIn, SYSCALLS } from "./trace.ts";

const [file = "", probe = "", runtime = ""] = Deno.args;
const differences: string[] = [];

function say(text = ""): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

function compareScopes(declared: Scope): void {
  say(`Permissions of ${file}, read from the file:`);
  for (const line of scopeLines(declared)) say(`  ${line}`);
  const { read, write, run, env } = manifest.permissions.plugin;
  const same = JSON.stringify([declared.read, declared.write, declared.run, declared.env]) ===
    JSON.stringify([read, write, run, env]);
  if (!same || declared.more.length > 0 || declared.asks) {
    differences.push("the file has other permissions than deno.json declares");
  }
  if (JSON.stringify(scopeOf(probe)) !== JSON.stringify(declared)) {
    differences.push("the probe has other permissions than the file");
  }
}

/** One run of the file under strace; returns its actions. */
async function traced(
  host: Host,
  command: string,
  config: Json,
  id = "c1",
  fails = false,
): Promise<Event[]> {
  const folder = await Deno.makeTempDir({ prefix: "atomicni-audit-" });
  try {
    const { code, stdout, stderr } = await host.run(
      ["strace", "-ff", "-y", "-s", "4096", "-e", `trace=${SYSCALLS}`, "-o", `${folder}/t`, file],
      JSON.stringify(config),
      {
        CNI_COMMAND: command,
        CNI_CONTAINERID: id,
        CNI_NETNS: `/run/netns/${id}`,
        CNI_IFNAME: "eth0",
        CNI_PATH: "/opt/cni/bin",
      },
    );
    if ((code !== 0) !== fails) {
      throw new Error(`${command} ended with ${code}: ${stdout}${stderr}`);
    }
    result = stdout;
    return eventsIn(folder, file);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The output of the last run. */
let result = "";

async function seen(host: Host): Promise<[string, Event[]][]> {
  await host.containers("c1", "c2");
  const first = await traced(host, "ADD", CONFIG);
  const prevResult = JSON.parse(result);
  const kept = { "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }] };
  return [
    ["ADD (creates the bridge)", first],
    ["ADD (the bridge exists)", await traced(host, "ADD", CONFIG, "c2")],
    ["CHECK", await traced(host, "CHECK", { ...CONFIG, prevResult })],
    ["STATUS", await traced(host, "STATUS", CONFIG)],
    ["GC (of c2)", await traced(host, "GC", { ...CONFIG, ...kept })],
    ["DEL", await traced(host, "DEL", CONFIG)],
    ["DEL (again)", await traced(host, "DEL", CONFIG)],
  ];
}

function compare(command: string, events: readonly Event[], rules: readonly Rule[]): void {
  const programs = count(events.filter((it) => it.kind === "run" && !it.refused));
  say(`  ${command}: ${[...programs].map(([name, n]) => `${name} ×${n}`).join(", ")}`);
  for (const event of events) {
    if (ruleOf(event, rules) === undefined) {
      differences.push(`${command}: ${event.by} did ${event.kind} ${event.what}`);
    }
  }
}

function count(events: readonly Event[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { what } of events) counts.set(what, (counts.get(what) ?? 0) + 1);
  return counts;
}

/** Each rule with the actions that it allows; a declared rule without any action means that the scope is too wide. */
function tell(events: readonly Event[], rules: readonly Rule[]): void {
  for (const rule of rules) {
    const matching = events.filter((it) => ruleOf(it, rules) === rule);
    const names = [...new Set(matching.map(({ what }) => what))];
    if (names.length === 0) {
      if (rule.why.startsWith("declared")) differences.push(`${rule.why}: no action needs it`);
      continue;
    }
    const libraries = rule.why === "the system's libraries";
    say(`  ${rule.why}: ${libraries ? `${names.length} files` : names.join(", ")}`);
  }
}

async function probed(host: Host): Promise<void> {
  await host.sh(`touch ${STATE_FOLDER}/inside; ln -s /proc/self/environ ${STATE_FOLDER}/environ
    cp /usr/bin/ip /run/ip`);
  const { stdout, stderr } = await host.run([probe], "", {
    CNI_COMMAND: "PROBE",
    HOME: "/root",
    PATH: "/usr/bin",
  });
  const tries: [string, string][] = stdout.trim().split("\n").map((line) => JSON.parse(line));
  if (tries.length < 30) differences.push(`the probe ended early: ${stderr}`);
  for (const [name, outcome] of tries) {
    const good = name === "a declared access" ? outcome === "done" : outcome === "NotCapable";
    say(`  ${good ? "ok" : "NO"}  ${name}: ${outcome}`);
    if (!good) differences.push(`the probe could ${name}: ${outcome}`);
  }
  const left = await host.sh(`ls -A /run; ls -A ${STATE_FOLDER}`);
  if (/probe|copy|link/.test(left)) differences.push(`the probe left something: ${left}`);
}

/** Ways out of the folder that the runtime's check of paths would accept: the program has to detect them itself. */
const TRAPS: readonly [name: string, script: string, config?: Json, works?: true][] = [
  ["a state file that is a symbolic link", "ln -s /run/secret podnet.json"],
  ["a lock that is a symbolic link", "ln -s /run/secret podnet.lock"],
  ["a lock that is a hard link", "echo secret >other && ln other podnet.lock", CONFIG, true],
  ["a state folder that is a symbolic link", "ln -s /run/folder sub", {
    ...CONFIG,
    ipam: { dataDir: `${STATE_FOLDER}/sub` },
  }],
  ["a resolv.conf that is a symbolic link", "ln -s /run/secret resolv.conf", {
    ...CONFIG,
    ipam: { resolvConf: `${STATE_FOLDER}/resolv.conf` },
  }],
];

async function trapped(): Promise<void> {
  for (const [name, script, config = CONFIG, works = false] of TRAPS) {
    await using host = await Host.create();
    await host.containers("c1");
    await host.sh(`mkdir /run/folder; echo secret > /run/secret; cd ${STATE_FOLDER}; ${script}`);
    const events = await traced(host, "ADD", config, "c1", !works);
    const { code, msg } = JSON.parse(result);
    const opened = events.filter(({ what }) => /\/run\/(secret|folder)/.test(what));
    const other = await host.sh(`cat ${STATE_FOLDER}/other 2>&1 || :`);
    const kept = await host.sh("cat /run/secret; ls -A /run/folder") === "secret\n" &&
      (!works || other === "secret\n");
    const good = opened.length === 0 && kept;
    say(`  ${good ? "ok" : "NO"}  ${name}: ${works ? "replaced" : `code ${code}, ${msg}`}`);
    if (!good) differences.push(`${name}: ${opened.map(({ what }) => what).join(", ")} was opened`);
  }
}

const declared = scopeOf(file);
compareScopes(declared);
const rules = rulesFor(file, runtime, declared);
{
  await using host = await Host.create();
  say("\nPrograms that were run:");
  const runs = await seen(host);
  for (const [command, events] of runs) compare(command, events, rules);
  say("\nFiles and sockets that were opened, changed or connected, by reason:");
  tell(runs.flatMap(([, events]) => events), rules);
}
{
  await using host = await Host.create();
  say("\nAccesses that the same scope refuses:");
  await probed(host);
}
say("\nFiles that the program itself refuses to open:");
await trapped();
say();
for (const difference of new Set(differences)) say(`DIFFERENCE: ${difference}`);
say(differences.length === 0 ? `${file}: as declared` : `${file}: not as declared`);
Deno.exit(differences.length === 0 ? 0 : 1);
