import { measure, median } from "./measure.ts";
import type { Peer } from "./peers.ts";

/** The phases of an ADD in order, in milliseconds. */
export type Phases = readonly (readonly [phase: string, ms: number])[];

const CALLS = "execve,read,rename,write,exit_group";

interface Event {
  readonly at: number;
  readonly pid: string;
  readonly text: string;
}

/** Medians over `rounds` ADDs, each observed from outside by a few system calls. */
export async function phases(peer: Peer, rounds: number): Promise<Phases> {
  const seen: (readonly [string, number])[][] = [];
  for (let round = 0; round < rounds; round++) {
    const trace = await Deno.makeTempFile();
    const call = peer.call("ADD", 0, "");
    if (call === undefined) throw new Error(`${peer.name} has no ADD`);
    const strace = [
      "-f",
      "-qq",
      "--seccomp-bpf",
      "-ttt",
      "-s",
      "16",
      "-e",
      `trace=${CALLS}`,
      "-o",
      trace,
    ];
    await measure({ ...call, argv: ["/usr/bin/strace", ...strace, ...call.argv] });
    seen.push(between(events(await Deno.readTextFile(trace))));
    await Deno.remove(trace);
    const del = peer.call("DEL", 0, "{}");
    if (del !== undefined) await measure(del);
  }
  return (seen[0] ?? []).map((
    [phase],
    index,
  ) => [phase, median(seen.map((it) => it[index]?.[1] ?? NaN))]);
}

function events(trace: string): Event[] {
  return trace.split("\n").flatMap((line) => {
    const match = /^(\d+) +(\d+\.\d+) (.*)$/.exec(line);
    return match === null
      ? []
      : [{ pid: match[1] ?? "", at: Number(match[2]) * 1000, text: match[3] ?? "" }];
  });
}

/** Splits an ADD at events that strace shows: stdin, the two `ip` and their batches, the rename, the result. */
function between(all: readonly Event[]): [string, number][] {
  const first = all[0];
  const last = all.at(-1);
  const ips = all.filter(({ text }) => /^execve\("[^"]*\/ip"/.test(text));
  const program = all.findLast(({ text, at }) =>
    text.startsWith("execve(") && at < (ips[0]?.at ?? 0) && !ips.some((it) => it.text === text)
  );
  const find = (pattern: RegExp, from: number) =>
    all.find(({ text, at }) => at >= from && pattern.test(text))?.at ?? NaN;
  const end = (event: Event | undefined) =>
    all.find(({ pid, text }) => pid === event?.pid && text.startsWith("exit_group"))?.at ?? NaN;
  const [one, two] = ips;
  if (
    first === undefined || last === undefined || one === undefined || two === undefined ||
    program === undefined
  ) {
    throw new Error("an ADD that does not start ip twice");
  }
  const stdin = find(/read.*"\{\\"cniVersion/, program.at);
  const plug = find(/^write\(\d+, "(addr show|link add)/, one.at);
  const rename = find(/^rename\(/, plug);
  const configure = find(/^write\(\d+, "link set/, rename);
  const printed = find(/^write\(1,/, end(two));
  const marks: [string, number][] = [
    ["the shell line that starts Deno", program.at],
    ["Deno starts, the program is loaded", stdin],
    ["what starts processes loaded, first ip started", one.at],
    ["configuration read and checked", plug],
    ["first ip: veth, alias, bridge read back; state read, second ip started", end(one)],
    ["lock, address chosen, state written", rename],
    ["unlocked", configure],
    ["second ip: MAC, address, routes", end(two)],
    ["result printed", printed],
    ["process ends", last.at],
  ];
  let before = first.at;
  return marks.map(([phase, at]) => {
    const ms = at - before;
    before = at;
    return [phase, ms];
  });
}
