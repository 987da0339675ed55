import { type Answer, CONFIG, type Host, type Json } from "../integration/host.ts";
import { type ConfigurationFile, FILES, USUAL } from "./files.ts";
import { limits } from "./limits.ts";
import { type Complaint, count, kindOf, type Property } from "./property.ts";
import type { Random } from "../random.ts";
import { HOST_STATES, type HostState, PLAIN } from "./host_states.ts";

/** One host and one file. */
export interface Visit {
  readonly around: HostState;
  readonly file: ConfigurationFile;
}

/** Each host state with the usual file, each file on a healthy host; after that, pairs. */
export const ALONE: readonly Visit[] = [
  ...HOST_STATES.map((around) => ({ around, file: USUAL })),
  ...FILES.map((file) => ({ around: PLAIN, file })),
];

/**
 * Another network that shares the subnet: an ADD can't see it and works; STATUS refuses and `doctor` warns, with
 * these messages.
 */
const SHARED = /allocates it too/;

/** Exit status 2 of `doctor` means that an ADD fails, any other that it works; STATUS agrees. */
export const doctorAgrees: Property<Visit> = {
  name: "doctor agrees with ADD",
  limits: limits({
    short: { cases: ALONE.length + 12, seconds: 600 },
    full: { cases: ALONE.length + 400, seconds: 3600 },
  }),
  generate: (random: Random, index: number) =>
    ALONE[index] ?? { around: random.one(HOST_STATES), file: random.one(FILES) },
  complain,
  *smaller({ around, file }) {
    if (around !== PLAIN && file !== USUAL) {
      yield* [{ around, file: USUAL }, { around: PLAIN, file }];
    }
  },
  seen: new Map(),
  spoils: ({ around }) => around.given !== undefined,
};

async function complain(
  host: Host,
  { around, file }: Visit,
  wrong: readonly string[],
): Promise<Complaint | undefined> {
  await prepareHost(host, around);
  const under = [...(around.under ?? []), ...wrong];
  const doctor = await host.program(["doctor", "--json"], file.text, {}, under);
  const call = {
    ...(file.sent === undefined ? { stdin: file.text } : { config: file.sent }),
    netns: around.netns ?? "c1",
    under,
  };
  const status = await host.cni("STATUS", call);
  const added = await host.cni("ADD", call);
  const works = added.code === 0 && file.isNotForUs !== true;
  count(doctorAgrees.seen, works ? "work" : "fail");
  const about = `on ${around.name}, with ${file.name}
doctor: exit ${doctor.code}: ${problems(doctor.json) || doctor.stdout}${doctor.stderr}
STATUS: exit ${status.code}: ${status.stdout}
ADD: exit ${added.code}: ${added.stdout}`;
  const kind = disagreement(doctor, works, added, around);
  if (kind !== undefined) return { kind, about };
  const cant = around.statusCant ?? file.statusCant;
  if (!answers(file, added) || around.waits || cant || isSuspected(added, around.suspected)) {
    return undefined;
  }
  count(doctorAgrees.seen, "checked with STATUS too");
  const shared = gives("10.86.", added) ? around.statusRefuses : undefined;
  if (shared !== undefined || works && SHARED.test(`${status.json?.msg}`)) {
    const words = shared ?? SHARED;
    const isReported = status.json?.code === 50 && words.test(status.json.msg) &&
      words.test(problems(doctor.json));
    return isReported ? undefined : { kind: "STATUS or doctor omits a report", about };
  }
  if ((status.code === 0) === works) return undefined;
  return { kind: `STATUS says ${status.code}, but ${outcome(works, added)}`, about };
}

async function prepareHost(host: Host, { attached = [], earlier, given }: HostState) {
  await host.containers("c1", ...attached);
  for (const id of attached) await host.add({ id, config: { ...CONFIG, ...earlier } });
  if (given !== undefined) await host.sh(given);
}

function disagreement(
  doctor: Answer,
  works: boolean,
  added: Answer,
  { waits, suspected, doctorRefuses }: HostState,
): string | undefined {
  if (![0, 1, 2].includes(doctor.code) || doctor.json === undefined) {
    return `doctor ends with ${doctor.code}, or without a document`;
  }
  // `doctor` and STATUS wait for the lock too, so the ADD after them may find it free.
  if (waits !== undefined && (works || added.json?.code === 11)) {
    return waits.test(problems(doctor.json))
      ? undefined
      : "doctor does not name the lock that an ADD waits for";
  }
  if (isSuspected(added, suspected)) {
    return suspected?.warning.test(problems(doctor.json))
      ? undefined
      : "doctor does not warn that it can't see something";
  }
  if (doctorRefuses && works && gives("10.86.", added)) {
    return doctor.code === 2 ? undefined : "doctor does not refuse what STATUS refuses";
  }
  if ((doctor.code !== 2) === works) return undefined;
  const why = works ? `: ${kindOf(problems(doctor.json))}` : "";
  return `doctor says ${doctor.code}, but ${outcome(works, added)}${why}`;
}

function isSuspected(added: Answer, suspected: HostState["suspected"]): boolean {
  return added.code !== 0 && suspected?.details.test(added.json?.details) === true;
}

/** Whether an address with this prefix was allocated. */
function gives(start: string, { code, json }: Answer): boolean {
  const ips: Json[] = json?.ips ?? [json?.ip4 ?? []].flat().map(({ ip }) => ({ address: ip }));
  return code === 0 && ips.some(({ address }) => address.startsWith(start));
}

function outcome(works: boolean, added: Answer): string {
  if (works) return "the ADD works";
  const { code, msg = "no runtime would run it" } = added.json ?? {};
  return added.code === 0 ? msg : `the ADD ends with ${code}: ${kindOf(msg)}`;
}

/** The faults that doctor reported. */
function problems(report: Json): string {
  const found: Json[] = report?.findings ?? [];
  return found.filter(({ level }) => level === "error" || level === "warning")
    .map(({ level, about, found }) => `${level}: ${about}: ${found}`).join("; ");
}

/** STATUS began with 1.1.0, and no runtime calls it for a file that is not for this plugin. */
function answers(file: ConfigurationFile, added: Answer): boolean {
  if (file.isNotForUs) return false;
  const version: unknown = file.sent?.cniVersion ?? /"cniVersion":"([^"]*)"/.exec(file.text)?.[1];
  return version === "1.1.0" || added.json?.cniVersion === "1.1.0";
}
