import { type Answer, CONFIG, type Host, type Json } from "../integration/host.ts";
import type { HostState } from "./host_states.ts";
import { kindOf } from "./property.ts";

/**
 * Exit status 2 of `doctor` means that an ADD fails, any other that it works; STATUS agrees. Returns the complaint
 * about a host in that state, or `undefined`. The words of `wrong` start the program.
 */
export async function disagreement(
  host: Host,
  around: HostState,
  wrong: readonly string[] = [],
): Promise<string | undefined> {
  await prepareHost(host, around);
  const under = [...(around.under ?? []), ...wrong];
  const doctor = await host.program(["doctor", "--json"], JSON.stringify(CONFIG), {}, under);
  const call = { netns: around.netns ?? "c1", under };
  const status = await host.cni("STATUS", call);
  const added = await host.cni("ADD", call);
  const works = added.code === 0;
  const kind = betweenDoctorAndAdd(doctor, works, added, around);
  if (kind !== undefined) return kind;
  if (around.waits || isSuspected(added, around.suspected)) return undefined;
  const shared = gives("10.86.", added) ? around.statusRefuses : undefined;
  if (shared !== undefined) {
    const isReported = status.json?.code === 50 && shared.test(status.json.msg) &&
      shared.test(problems(doctor.json));
    return isReported ? undefined : "STATUS or doctor omits a report";
  }
  if ((status.code === 0) === works) return undefined;
  return `STATUS says ${status.code}, but ${outcome(works, added)}`;
}

async function prepareHost(host: Host, { attached = [], earlier, given }: HostState) {
  await host.containers("c1", ...attached);
  for (const id of attached) await host.add({ id, config: { ...CONFIG, ...earlier } });
  if (given !== undefined) await host.sh(given);
}

function betweenDoctorAndAdd(
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
  return code === 0 && json.ips.some(({ address }: Json) => address.startsWith(start));
}

function outcome(works: boolean, added: Answer): string {
  if (works) return "the ADD works";
  const { code, msg } = added.json ?? {};
  return `the ADD ends with ${code}: ${kindOf(msg)}`;
}

/** The faults that doctor reported. */
function problems(report: Json): string {
  const found: Json[] = report?.findings ?? [];
  return found.filter(({ level }) => level === "error" || level === "warning")
    .map(({ level, about, found }) => `${level}: ${about}: ${found}`).join("; ");
}
