import { assert } from "@std/assert";
import { Containerd } from "./containerd.ts";
import { Cri, inParallel } from "./cri.ts";
import { nodeTest } from "./node.ts";
import { assertNothingLeft, ATOMICNI, writeConflist } from "./conflist.ts";

const ROUNDS = 3;
/** RUNTIMES_PODS; CI has fewer. */
const PODS = Number(Deno.env.get("RUNTIMES_PODS") ?? 50);
const AT_A_TIME = 10;
/** README has the measured times; a larger difference is a defect, not noise. */
const MOST = 4;

const REFERENCE = {
  type: "bridge",
  bridge: "atomic0",
  isDefaultGateway: true,
  ipam: { type: "host-local", subnet: ATOMICNI.subnet },
};

/** Seconds to start the pods, 10 at a time, and to remove them. */
async function round(cri: Cri, number: number): Promise<{ start: number; remove: number }> {
  const names = Array.from({ length: PODS }, (_, index) => `pod-${number}-${index}`);
  const ids: string[] = [];
  const began = performance.now();
  await inParallel(names, AT_A_TIME, async (name) => void ids.push(await cri.runPod({ name })));
  const started = performance.now();
  await inParallel(ids, AT_A_TIME, async (id) => await cri.removePod(id));
  const removed = performance.now();
  return { start: (started - began) / 1000, remove: (removed - started) / 1000 };
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

nodeTest(
  "containerd through CRI: times of pods compared with bridge + host-local, in turns",
  async (ours, theirs) => {
    await writeConflist(ours, ATOMICNI);
    await writeConflist(theirs, REFERENCE);
    await Containerd.start(ours);
    await Containerd.start(theirs);
    using atomicni = await Cri.connect(ours);
    using reference = await Cri.connect(theirs);
    const rows: { start: number; remove: number }[] = [];
    for (let number = 0; number < ROUNDS; number++) {
      const [first, second] = number % 2 === 0 ? [reference, atomicni] : [atomicni, reference];
      const one = await round(first, number);
      const two = await round(second, number);
      const [base, own] = number % 2 === 0 ? [one, two] : [two, one];
      rows.push({ start: own.start / base.start, remove: own.remove / base.remove });
    }
    const start = median(rows.map((row) => row.start));
    const remove = median(rows.map((row) => row.remove));
    const line =
      `${PODS} pods through CRI, 10 at a time, times of bridge + host-local (median of ${ROUNDS}): ` +
      `start ${start.toFixed(2)}, stop and remove ${remove.toFixed(2)}\n`;
    Deno.stdout.writeSync(new TextEncoder().encode(line));
    assert(start < MOST && remove < MOST, line);
    await assertNothingLeft(ours);
  },
  ["atomicni", "reference"],
);
