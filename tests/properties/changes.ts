import { pause } from "../../lib/base/deadline.ts";
import type { Answer, Json } from "../integration/host.ts";
import { insideLock, rush } from "./at_once.ts";
import { scriptOf, valueOf } from "./change_script.ts";
import { containersScript } from "./containers.ts";
import { cleanUp } from "./clean_up.ts";
import { agreement, leftFiles, leftOut, untrue } from "./invariants.ts";
import { CONTAINERS, HOSTILE, neighbours, networkOf } from "./layouts.ts";
import { type Limits, limits } from "./limits.ts";
import { attachByReference, importLeases } from "./migration.ts";
import { type Complaint, count, type Property, shorter } from "./property.ts";
import { type Scene, seatIn } from "./scene.ts";
import { containerScenario, rootScenario, type Scenario, type Step } from "./scenario.ts";
import { Stage } from "./stage.ts";
import type { Actor, Change } from "./vocabulary.ts";
import { leasesOf, look } from "./world.ts";

/** Whatever root changes by hand between and during runs, no container loses anything, and every document is true. */
export const carelessRoot: Property<Scenario> = changedBy("root", "a careless root", {
  short: { cases: 18, seconds: 600 },
  full: { cases: 600, seconds: 3600 },
});

/** Whatever a container changes in its namespace, no other container loses anything, and each report about them is true. */
export const hostileContainer: Property<Scenario> = changedBy("container", "a hostile container", {
  short: { cases: 12, seconds: 600 },
  full: { cases: 600, seconds: 3600 },
});

function changedBy(
  actor: Actor,
  name: string,
  sizes: Readonly<Record<"short" | "full", Limits>>,
): Property<Scenario> {
  const seen = new Map<string, number>();
  return {
    name,
    limits: limits(sizes),
    generate: actor === "root" ? rootScenario : containerScenario,
    complain: (host, it, under) =>
      complain(new Stage(host, under, { ...it, actor }, (what) => count(seen, what)), it.steps),
    *smaller(it) {
      for (const steps of shorter(it.steps)) yield { ...it, steps };
      if (it.layout !== "one bridge") yield { ...it, layout: "one bridge" };
    },
    seen,
    spoils: () => true,
  };
}

/** The `ip` of a killed run may still be in progress. */
const SETTLE_MS = 60;

async function complain(stage: Stage, steps: readonly Step[]): Promise<Complaint | undefined> {
  await stage.host.sh(containersScript(CONTAINERS));
  let found: Complaint | undefined;
  for (const step of steps) {
    stage.count(step.does === "change" ? "changes by hand" : "runs of the program");
    found = await take(stage, step);
    if (found !== undefined) break;
  }
  if (stage.memory.actor === "root") found ??= await followDoctor(stage);
  found ??= await cleanUp(stage);
  return found && await described(stage, found);
}

/** An operator runs `doctor` at the end of the day, and `repair` if it is a remedy. */
async function followDoctor(stage: Stage): Promise<Complaint | undefined> {
  const doctor = await stage.person("doctor", 0);
  if (!doctor.stdout.includes("atomicni repair")) return undefined;
  return await other(stage, { does: "repair", who: 0 });
}

/** The last change is the most likely cause. */
async function described(stage: Stage, found: Complaint): Promise<Complaint> {
  const { states, links } = await look(stage.host);
  const leases = [...states].map(([file, it]) =>
    `${file}: ${JSON.stringify(Object.fromEntries(leasesOf(it)))}`
  );
  const names = links.map(({ ifname, ifalias, master }) =>
    `${ifname} (${ifalias ?? ""}) in ${master ?? "nothing"}`
  );
  const about = `${found.about}\nleases: ${leases.join(", ")}\nhost: ${names.join(", ")}`;
  return { kind: `${found.kind} (${stage.memory.actor}: ${stage.memory.lastChange})`, about };
}

async function take(stage: Stage, step: Step): Promise<Complaint | undefined> {
  const { does, who, change, after = 0 } = step;
  switch (does) {
    case "change": {
      if (change === undefined) return undefined;
      const doIt = () => byHand(stage, change);
      return step.inside ? await insideLock(stage, who, after, doIt) : void await doIt();
    }
    case "rush":
      return await rush(stage, who);
    case "reference":
      return void await attachByReference(stage, who, step.bridge ?? "cni0");
    case "import":
      return await importLeases(stage, who, step.folder ?? "whole");
    case "add":
      return await add(stage, step);
    case "add with a range of its own":
      return await add(stage, step, {
        runtimeConfig: { ipRanges: [[{ subnet: "10.77.0.0/24" }]] },
      });
    case "killed add":
      return void await killedAdd(stage, who, after);
    default:
      return await other(stage, step);
  }
}

async function byHand(stage: Stage, change: Change): Promise<void> {
  const { what, who } = change;
  const scene = await stage.look();
  const id = CONTAINERS[who] ?? "k0";
  const linkOf = (of: string) => linkFor(stage, scene, what, of);
  const link = linkOf(id);
  const ipOf = (of: string) => seatIn(scene, of).ips[0]?.split("/")[0] ?? "none";
  const another = neighbours(who).find((it) => it !== id && linkOf(it)) ?? id;
  const subject = {
    id,
    ip: ipOf(id),
    link,
    another: linkOf(another),
    others: linkOf(CONTAINERS[networkOf(who) === 0 ? 4 : 0]),
    anotherHost: seatIn(scene, another).outer,
    anotherIp: ipOf(another),
    before: stage.memory.before(id, what, valueOf(what, link)),
  };
  await stage.host.run(["sh", "-c", `{ ${scriptOf(change, subject)}\n } 2>/dev/null`]);
  stage.memory.did(change, id);
  stage.changed();
}

/** The container's link of the kind that a change concerns. */
function linkFor(stage: Stage, scene: Scene, what: string, id: string): Json {
  const { inner, outer } = seatIn(scene, id);
  if (what.startsWith("loopback")) return inner && { ...inner, ifname: "lo" };
  if (what.startsWith("interface")) return inner;
  if (!what.startsWith("bridge")) return outer;
  const { bridge } = stage.networks[networkOf(CONTAINERS.indexOf(id as "k0"))];
  return scene.links.find(({ ifname }) => ifname === bridge);
}

async function killedAdd(stage: Stage, who: number, after: number): Promise<void> {
  await stage.cni("ADD", who, {}, { before: ["timeout", "-s", "KILL", `${after / 1000}`] });
  await pause(SETTLE_MS);
  stage.memory.isUnknown = true;
  stage.changed();
}

async function add(stage: Stage, step: Step, more: Json = {}): Promise<Complaint | undefined> {
  const { memory, networks } = stage;
  const { who } = step;
  const documents = await stage.ask(who);
  const before = await stage.before();
  const run = () => stage.cni("ADD", who, more);
  const answer = await run();
  const after = await stage.look();
  const found = stage.note(who, answer, after) ??
    await stage.harm(step, "an ADD", { before, after, answer }) ??
    agreement(memory, documents, answer, { who, scene: before, networks }) ??
    leftFiles(before, after, "an ADD", answer) ??
    (answer.code === 0 ? leftOut(memory, after, who) : undefined);
  if (found !== undefined || answer.code === 0) return found;
  const again = await stage.again(run, "an ADD");
  const isAboutState = answer.json?.code === 104 || answer.json?.code === 5;
  if (again !== undefined || !step.repairs || !isAboutState) return again;
  return await other(stage, { does: "repair", who });
}

/** Any other run: only its target may lose anything, and a reported success is true. */
async function other(stage: Stage, step: Step): Promise<Complaint | undefined> {
  const { does, who } = step;
  const run = () => runOf(stage, step);
  const before = await stage.before();
  const answer = await run();
  const after = await stage.look();
  const names: Json = { del: "a DEL", gc: "a GC without a list", "gc list": "a GC" };
  const what = names[does] ?? does;
  if (does === "add net1") stage.note(HOSTILE, answer, after, "net1");
  if (does === "del" && answer.code === 0) stage.attached.delete(`${CONTAINERS[who]}/eth0`);
  const found = await stage.harm(step, what, { before, after, answer }) ??
    untrue(stage.memory, after, step, answer) ?? leftFiles(before, after, what, answer);
  stage.memory.ran(step, answer);
  if (found !== undefined || answer.code === 0 || does === "check") return found;
  return await stage.again(run, what);
}

function runOf(stage: Stage, { does, who }: Step): Promise<Answer> {
  switch (does) {
    case "add net1":
      return stage.cni("ADD", HOSTILE, {}, { ifname: "net1" });
    case "add of a refused address":
      return stage.cni("ADD", who, {}, { args: "IP=10.86.0.1" });
    case "gc list": {
      const own = { containerID: CONTAINERS[HOSTILE], ifname: "net1" };
      const list = neighbours(who).map((containerID) => ({ containerID, ifname: "eth0" }));
      return stage.cni("GC", who, { "cni.dev/valid-attachments": [...list, own] });
    }
    case "check": {
      const prevResult = stage.attached.get(`${CONTAINERS[who]}/eth0`)?.result;
      return stage.cni("CHECK", who, { prevResult });
    }
    case "del":
    case "gc":
      return stage.cni(does.toUpperCase(), who);
    default:
      return stage.person(does, who);
  }
}
