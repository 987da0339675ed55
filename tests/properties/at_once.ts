import { pause } from "../../lib/base/deadline.ts";
import { type Answer, type Json, STATE_FOLDER } from "../integration/host.ts";
import { networkOf } from "./layouts.ts";
import type { Complaint } from "./property.ts";
import type { Stage } from "./stage.ts";

/** The longest time for which an ADD that holds the lock is stopped; it ends earlier if another ADD ends. */
const STOPPED_MS = 1500;
/** An ADD that has no lock by then takes none: it failed before. */
const LOCKED_WITHIN_S = 3;
/** Stops the first process that holds the lock $1, $2 seconds after it got it, and prints its process ID. */
const STOP = `cd ${STATE_FOLDER}; for i in $(seq 2000); do
  [ -e $1 ] && file=$(printf "%02x:%02x:%d" $(stat -c "%Hd %Ld %i" $1)) && break; done
  for i in $(seq 2000); do while read -r _ kind _ how pid locked _; do
    case "$kind $how $locked" in "FLOCK WRITE $file") sleep $2; kill -STOP $pid; echo $pid; exit ;; esac
  done </proc/locks; done`;

/** A change while an ADD is stopped `after` milliseconds after it got the lock, and another ADD at the same time. */
export async function insideLock(
  stage: Stage,
  who: number,
  after: number,
  change: () => Promise<void>,
): Promise<Complaint | undefined> {
  const [first, second] = await stage.idle(who);
  if (first === undefined || second === undefined) return void await change();
  await stage.ask(first);
  const slow = stage.cni("ADD", first);
  const lock = `${stage.networks[networkOf(first)].name}.lock`;
  const seconds = String(after / 1000);
  const stop = ["timeout", String(LOCKED_WITHIN_S), "sh", "-c", STOP, "sh", lock, seconds];
  const { stdout: stopped } = await stage.host.run(stop);
  await change();
  const fast = stage.cni("ADD", second);
  await Promise.race([fast, pause(STOPPED_MS)]);
  await stage.host.run(["sh", "-c", "kill -CONT $1", "sh", stopped.trim()]);
  const answers: [number, Answer][] = [[first, await slow], [second, await fast]];
  stage.count("changes under the lock");
  return await noted(stage, answers);
}

/** ADDs at the same time, while STATUS and `doctor` run again and again. */
export async function rush(stage: Stage, who: number): Promise<Complaint | undefined> {
  const asked = await stage.ask(who);
  const idle = await stage.idle(who);
  let isOver = false;
  const watched: Answer[] = [];
  const watch = async (look: () => Promise<Answer>) => {
    while (!isOver) watched.push(await look());
  };
  const readers = [() => stage.cni("STATUS", who), () => stage.person("doctor", who)];
  const watchers = readers.map(watch);
  const added = await Promise.all(idle.map((it) => stage.cni("ADD", it)));
  isOver = true;
  await Promise.all(watchers);
  const after = [await stage.cni("STATUS", who), await stage.person("doctor", who)];
  stage.count("readers next to ADDs");
  const found = await noted(stage, idle.map((it, at) => [it, added[at] as Answer]));
  stage.memory.isUnknown = true;
  if (found !== undefined || asked === undefined) return found;
  if (![asked.status, asked.doctor, ...after].every(isWell)) return undefined;
  const alarm = watched.find((it) => !isWell(it));
  const kind = "next to ADDs, STATUS or doctor reports a fault";
  return alarm === undefined ? undefined : { kind, about: alarm.stdout };
}

/** Whether STATUS succeeded, or `doctor` has at most warnings. */
function isWell({ code, json }: { readonly code: number; readonly json: Json }): boolean {
  return code === 0 || code === 1 && json?.code === undefined;
}

async function noted(
  stage: Stage,
  answers: readonly (readonly [number, Answer])[],
): Promise<Complaint | undefined> {
  const scene = await stage.look();
  for (const [who, added] of answers) {
    const found = stage.note(who, added, scene);
    if (found !== undefined) return found;
  }
  return undefined;
}
