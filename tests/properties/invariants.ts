import type { Answer, Json } from "../integration/host.ts";
import { CONTAINERS, HOSTILE, neighbours, networkOf } from "./layouts.ts";
import { type Documents, ipOf, type Memory } from "./memory.ts";
import { type Complaint, kindOf } from "./property.ts";
import { type Scene, seatIn } from "./scene.ts";
import type { Step } from "./scenario.ts";

/** The outcome of a run, for a complaint. */
export const answered = ({ code, stdout, stderr }: Answer) => `exit ${code}: ${stdout}${stderr}`;

/** An address that another live container has. */
export function twice(
  memory: Memory,
  scene: Scene,
  id: string,
  added: Answer,
): { readonly isReported: boolean; readonly complaint?: Complaint } | undefined {
  const address = ipOf(added.json);
  const network = networkOf(CONTAINERS.indexOf(id as "k0"));
  const other = CONTAINERS.find((it) => {
    const has = seatIn(scene, it).ips.some((ip) => ip.startsWith(`${address}/`));
    return it !== id && has && !memory.isForeign(it) &&
      (memory.ipOf(it) === address || !memory.hasLied(it));
  });
  if (other === undefined) return undefined;
  if (memory.wasReported(other, network)) return { isReported: true };
  const about = `${other} is live on ${address}, which ${id} gets; before, ${memory.documents}
${answered(added)}`;
  return {
    isReported: false,
    complaint: { kind: "an address is allocated twice, and no document said so", about },
  };
}

/** The answer of a run, and the views before and after it. */
export interface Run {
  readonly before: Scene;
  readonly after: Scene;
  readonly answer: Answer;
}

/** Something that a run took from a live container that was not its target. */
export function lost(
  memory: Memory,
  what: string,
  target: string,
  { before, after, answer }: Run,
): Complaint | undefined {
  for (const id of CONTAINERS) {
    const [had, has] = [seatIn(before, id), seatIn(after, id)];
    if (id === target || had.outer === undefined || had.ips.length === 0) continue;
    if (memory.ipOf(id) === undefined) continue;
    const about = `it was ${id}\n${answered(answer)}`;
    if (has.ips.join() !== had.ips.join()) {
      return { kind: `${what} cuts off another live container`, about };
    }
    if (had.outer.master !== undefined && has.outer?.master === undefined) {
      return { kind: `${what} takes another live container out of the bridge`, about };
    }
    if (has.inner.address !== had.inner.address) {
      return { kind: `${what} changes another container's MAC`, about };
    }
  }
  return undefined;
}

/** A run that reported success but failed. */
export function untrue(
  memory: Memory,
  after: Scene,
  { does, who }: Step,
  answer: Answer,
): Complaint | undefined {
  const id = CONTAINERS[who] ?? "";
  const about = answered(answer);
  if (answer.code !== 0) return undefined;
  const { outer } = seatIn(after, id);
  const isSecond = outer?.ifalias?.endsWith("/net1") === true;
  if (does === "del" && outer !== undefined && !isSecond && memory.canTell(id)) {
    return { kind: "a DEL succeeds and leaves the veth", about };
  }
  if (does !== "repair") return undefined;
  const out = neighbours(who).find((it) => isOut(memory, after, it) && memory.canTell(it));
  if (out === undefined || isNamed(answer, after, out)) return undefined;
  return { kind: "repair succeeds, and a container stays out of the bridge", about };
}

function isOut(memory: Memory, scene: Scene, id: string): boolean {
  const { outer, ips } = seatIn(scene, id);
  const hasBridge = scene.links.some(({ ifname }) => ifname === "atomic0");
  return memory.ipOf(id) !== undefined && outer !== undefined && outer.master === undefined &&
    ips.length > 0 && hasBridge;
}

function isNamed({ stdout, stderr }: Answer, scene: Scene, id: string): boolean {
  const { outer } = seatIn(scene, id);
  const text = stdout + stderr;
  return text.includes(`${id}/eth0`) || text.includes(`"${id}"`) || text.includes(outer?.ifname);
}

/** A container that lost the bridge, and that the network's own ADD has not put back. */
export function leftOut(memory: Memory, scene: Scene, who: number): Complaint | undefined {
  if (!memory.hasDone(/^bridge: existence/)) return undefined;
  const out = neighbours(who).find((id) =>
    id !== CONTAINERS[who] && isOut(memory, scene, id) && !memory.isReference(id) &&
    !memory.hasDone(/^(host veth|interface|namespace)/, id) && !memory.hasDone(/^(state|folder)/)
  );
  if (out === undefined) return undefined;
  const kind = "an ADD works, and a container of its network stays out of the bridge";
  return { kind, about: `it is ${out}` };
}

/** Codes of an ADD that are about its own container or moment, which STATUS does not know. */
const PERSONAL = new Set([3, 4, 8, 11, 102, 103]);

interface Asked {
  readonly who: number;
  readonly scene: Scene;
  readonly networks: readonly [Json, Json];
}

/** STATUS, `doctor` and the ADD after them agree, and a `repair` before them did what it reported. */
export function agreement(
  memory: Memory,
  documents: Documents | undefined,
  added: Answer,
  { who, scene, networks }: Asked,
): Complaint | undefined {
  // A container may make its own ADDs fail.
  if (memory.actor === "container" && who === HOSTILE) return undefined;
  const { code = added.code, msg = "" } = added.json ?? {};
  const outcome = added.code === 0 ? "the ADD works" : `the ADD ends with ${code}: ${kindOf(msg)}`;
  const network = networkOf(who);
  if (added.code !== 0 && PERSONAL.has(code)) return undefined;
  const about = `${answered(added)}\nbefore, ${memory.documents}`;
  if (added.code !== 0 && !memory.isTouched && code !== 101) {
    return { kind: `nothing was done by hand, and ${outcome}`, about };
  }
  if (code === 104 && memory.isStateUntouched) {
    return { kind: `the state was not changed by hand, and ${outcome}`, about };
  }
  if (added.code !== 0 && memory.isRepaired[network] && (code === 104 || code === 105)) {
    return { kind: `repair succeeds, and ${outcome}`, about };
  }
  if (documents === undefined) return undefined;
  const { status, doctor } = documents;
  const works = added.code === 0;
  if (works && isShared(networks, network, scene, status)) return undefined;
  if ((status.code === 0) !== works) {
    const why = works ? `: ${kindOf(status.json?.msg ?? "")}` : "";
    return { kind: `STATUS says ${status.code}${why}, but ${outcome}`, about };
  }
  if ((doctor.code !== 2) === works) return undefined;
  const error = (doctor.json?.findings ?? []).find((it: Json) => it.level === "error")?.found ?? "";
  return { kind: `doctor says ${doctor.code}: ${kindOf(error)}, but ${outcome}`, about };
}

/** Whether STATUS refuses because of another interface with the subnet, or a live container of the other network. */
function isShared(
  networks: readonly [Json, Json],
  network: 0 | 1,
  scene: Scene,
  status: Answer,
): boolean {
  if (/carries it too/.test(`${status.json?.msg}`)) return true;
  const isLive = (id: string) => seatIn(scene, id).outer !== undefined;
  const others = neighbours(network === 0 ? CONTAINERS.length - 1 : 0);
  const name = networks[1 - network as 0 | 1].name;
  return status.code !== 0 && `${status.json?.msg}`.includes(`"${name}"`) && others.some(isLive);
}

/** Each report of `import` about an address is true, and it names a live container that it can't explain. */
export function importTruth(
  memory: Memory,
  scene: Scene,
  answer: Answer,
  missing: readonly string[],
): Complaint | undefined {
  const about = answered(answer);
  const dead: string[] = (answer.json?.dead ?? []).flatMap(({ addresses }: Json) => addresses);
  const alive = [...scene.seats.values()].flatMap(({ ips }) => ips.map((it) => it.split("/")[0]));
  if (dead.some((it) => alive.includes(it))) {
    return { kind: "import says that no container has an address that one has", about };
  }
  const unnamed = missing.find((id) =>
    seatIn(scene, id).ips.length > 0 && !memory.isForeign(id) && !isNamed(answer, scene, id)
  );
  if (answer.code !== 0 || unnamed === undefined) return undefined;
  return { kind: "import succeeds, and does not name a live container without a lease", about };
}

/** A run that ended leaves no temporary file, and at most one backup. */
export function leftFiles(
  before: Scene,
  after: Scene,
  what: string,
  answer: Answer,
): Complaint | undefined {
  const further = after.files.filter((it) => !before.files.includes(it));
  const temporary = further.find((it) => /\.(tmp|new|moved)$/.test(it));
  const backups = further.filter((it) => it.includes(".damaged-"));
  const left = temporary ?? backups[1];
  if (left === undefined) return undefined;
  return { kind: `${what} leaves a file: ${kindOf(left)}`, about: answered(answer) };
}
