import { pause } from "../../lib/base/deadline.ts";
import type { Answer, Host, Json } from "../integration/host.ts";
import { insideLock, rush } from "./at_once.ts";
import { type Days, days, type Step } from "./days.ts";
import { CONTAINERS, neighbours, networkOf } from "./layouts.ts";
import { limits } from "./limits.ts";
import { attachByReference, importLeases } from "./migration.ts";
import { agreement, leftOut, lost, untrue } from "./oracles.ts";
import { type Complaint, count, kindOf, type Property, shorter } from "./property.ts";
import { type Scene, seatIn } from "./scene.ts";
import { Stage } from "./stage.ts";
import { LEFT_MARK, NO_OWNER } from "./folder.ts";
import { CLEAR, containersScript, type Deed, scriptOf, valueOf } from "./vocabulary.ts";
import { leasesOf, leftovers, look } from "./world.ts";

/** Whatever root changes by hand between and during runs, no container loses anything, and every document is true. */
export const carelessRoot: Property<Days> = {
  name: "a careless root",
  limits: limits({ short: { cases: 18, seconds: 600 }, full: { cases: 600, seconds: 3600 } }),
  generate: days,
  complain,
  *smaller(it) {
    for (const steps of shorter(it.steps)) yield { ...it, steps };
    if (it.layout !== "one bridge") yield { ...it, layout: "one bridge" };
  },
  seen: new Map(),
  spoils: () => true,
};

/** The `ip` of a killed run may still be in progress. */
const SETTLE_MS = 60;

async function complain(
  host: Host,
  it: Days,
  under: readonly string[],
): Promise<Complaint | undefined> {
  const stage = new Stage(host, under, it, (what) => count(carelessRoot.seen, what));
  await host.sh(containersScript(CONTAINERS));
  let found: Complaint | undefined;
  for (const step of it.steps) {
    stage.count(step.does === "deed" ? "done by hand" : "runs of the program");
    found = await play(stage, step);
    if (found !== undefined) break;
  }
  found ??= await end(stage);
  return found && await described(stage, found);
}

/** The last deed is the most likely cause. */
async function described(stage: Stage, found: Complaint): Promise<Complaint> {
  const { states, links } = await look(stage.host);
  const leases = [...states].map(([file, it]) =>
    `${file}: ${JSON.stringify(Object.fromEntries(leasesOf(it)))}`
  );
  const names = links.map(({ ifname, ifalias, master }) =>
    `${ifname} (${ifalias ?? ""}) in ${master ?? "nothing"}`
  );
  const about = `${found.about}\nleases: ${leases.join(", ")}\nhost: ${names.join(", ")}`;
  return { kind: `${found.kind} (root: ${stage.memory.lastDeed})`, about };
}

async function play(stage: Stage, step: Step): Promise<Complaint | undefined> {
  const { does, who, deed, after = 0 } = step;
  switch (does) {
    case "deed": {
      if (deed === undefined) return undefined;
      const doIt = () => byHand(stage, deed);
      return step.inside ? await insideLock(stage, who, after, doIt) : void await doIt();
    }
    case "rush":
      return await rush(stage, who);
    case "reference":
      return void await attachByReference(stage, who, step.bridge ?? "cni0");
    case "import":
      return await importLeases(stage, who, step.folder ?? "whole");
    case "add":
      return await add(stage, who);
    case "add with a range of its own":
      return await add(stage, who, {
        runtimeConfig: { ipRanges: [[{ subnet: "10.77.0.0/24" }]] },
      });
    case "killed add":
      return void await killedAdd(stage, who, after);
    default:
      return await other(stage, step);
  }
}

async function byHand(stage: Stage, deed: Deed): Promise<void> {
  const { what, who } = deed;
  const scene = await stage.look();
  const id = CONTAINERS[who] ?? "k0";
  const linkOf = (of: string) => linkFor(stage, scene, what, of);
  const link = linkOf(id);
  const subject = {
    id,
    ip: seatIn(scene, id).ips[0]?.split("/")[0] ?? "none",
    link,
    another: linkOf(neighbours(who).find((it) => it !== id && linkOf(it)) ?? id),
    others: linkOf(CONTAINERS[networkOf(who) === 0 ? 4 : 0]),
    before: stage.memory.before(id, what, valueOf(what, link)),
  };
  await stage.host.run(["sh", "-c", `{ ${scriptOf(deed, subject)}\n } 2>/dev/null`]);
  stage.memory.did(deed, id);
  stage.changed();
}

/** The container's link of the kind that a deed changes. */
function linkFor(stage: Stage, scene: Scene, what: string, id: string): Json {
  const { inner, outer } = seatIn(scene, id);
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

async function add(stage: Stage, who: number, more: Json = {}): Promise<Complaint | undefined> {
  const { memory, networks } = stage;
  const documents = await stage.ask(who);
  const before = await stage.before();
  const answer = await stage.cni("ADD", who, more);
  const after = await stage.look();
  const target = CONTAINERS[who] ?? "";
  const found = stage.note(who, answer, after) ??
    lost(memory, { before, after, target, answer, what: "an ADD" }) ??
    agreement(memory, documents, answer, { who, scene: before, networks }) ??
    (answer.code === 0 ? leftOut(memory, after, who) : undefined);
  if (found !== undefined || answer.code === 0) return found;
  return await stage.again(() => stage.cni("ADD", who, more), "an ADD");
}

/** Any other run: only its target may lose anything, and a reported success is true. */
async function other(stage: Stage, step: Step): Promise<Complaint | undefined> {
  const { does, who } = step;
  const run = () => runOf(stage, step);
  const before = await stage.before();
  const answer = await run();
  const after = await stage.look();
  const target = does === "del" ? CONTAINERS[who] ?? "" : "";
  const what = { del: "a DEL", gc: "a GC without a list", "gc list": "a GC" }[does as "gc"] ?? does;
  const found = lost(stage.memory, { before, after, target, answer, what }) ??
    untrue(stage.memory, after, step, answer);
  stage.memory.ran(step, answer);
  if (found !== undefined || answer.code === 0 || does === "check") return found;
  return await stage.again(run, what);
}

function runOf(stage: Stage, { does, who }: Step): Promise<Answer> {
  switch (does) {
    case "add of a refused address":
      return stage.cni("ADD", who, {}, { args: "IP=10.88.0.1" });
    case "gc list": {
      const list = neighbours(who).map((containerID) => ({ containerID, ifname: "eth0" }));
      return stage.cni("GC", who, { "cni.dev/valid-attachments": list });
    }
    case "del":
    case "gc":
    case "check":
      return stage.cni(does.toUpperCase(), who);
    default:
      return stage.person(does, who);
  }
}

/** Root removes the obstacles. Then one DEL per container, if necessary a repair and a second DEL, leaves nothing. */
async function end(stage: Stage): Promise<Complaint | undefined> {
  const { memory, host } = stage;
  await host.run(["sh", "-c", `{ ${CLEAR}\n } 2>/dev/null`]);
  const failed: number[] = [];
  for (const who of CONTAINERS.keys()) {
    if ((await stage.cni("DEL", who)).code !== 0) failed.push(who);
  }
  for (const network of new Set(failed.map(networkOf))) {
    await stage.person("repair", network === 0 ? 0 : CONTAINERS.length - 1);
  }
  for (const who of failed) {
    const ended = await stage.cni("DEL", who);
    if (ended.code === 0 || !memory.canTellAll(neighbours(who))) continue;
    const kind = `a DEL fails, after a repair too: ${kindOf(ended.json?.msg ?? "")}`;
    return { kind, about: ended.stdout };
  }
  const scene = await stage.look();
  for (const id of CONTAINERS) {
    if (!seatIn(scene, id).outer || !memory.canTell(id)) continue;
    return { kind: "one DEL each leaves a veth", about: `it is ${id}'s` };
  }
  const remains = async () =>
    leftovers(await look(host)).filter((it) =>
      !/^a (veth|link|bridge)/.test(it) && !it.includes(LEFT_MARK) &&
      !(memory.isNewer && it.startsWith("a lease"))
    );
  let left = await remains();
  // No DEL can name a key that is not an owner.
  if (left.some((it) => it.includes(`: ${NO_OWNER} `))) {
    await stage.person("repair", 0);
    left = await remains();
  }
  if (left.length === 0 || failed.length > 0) return undefined;
  return { kind: `one DEL each leaves ${left[0]?.split(":")[0]}`, about: left.join("\n") };
}
