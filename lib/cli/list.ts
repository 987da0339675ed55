import {
  type Attached,
  attachments,
  named,
  plainAttachment,
  plainErrors,
  survey,
  withoutLease,
} from "./attachments.ts";
import type { Call, Command, Report } from "./command.ts";
import type { Line, Segment } from "./screen.ts";
import { problems } from "./problems.ts";

export const list: Command = {
  name: "list",
  takes: "[NETWORK]",
  about:
    "each attachment: whose it is, its addresses, its host veth, live, stale or without a lease",
  example: "atomicni list podnet",
  options: { watch: { type: "boolean", about: "again every second, until it is ended" } },
  mostWords: 1,
  run: report,
};

async function report({ words: [only], kernel }: Call): Promise<Report> {
  const networks = await survey(kernel);
  const { errors, veths } = networks;
  const held = (await Promise.all(networks.held.map((it) => attachments(it, veths)))).flat();
  const all = [...held, ...await withoutLease(networks, held)];
  const rows = once(all.filter(({ network }) => only === undefined || network === only));
  if (rows.length === 0) named(networks, only, "list");
  return {
    // An empty list beside an error would be a lie.
    lines: [...(rows.length > 0 || errors.length === 0 ? tableOf(rows) : []), ...problems(errors)],
    json: {
      attachments: rows.map(plainAttachment),
      errors: plainErrors(errors),
    },
    exit: errors.length > 0 ? 2 : 0,
  };
}

/** An attachment has one host veth: one that a copy of the state file names too is the same. */
function once(rows: readonly Attached[]): Attached[] {
  const known = new Map<string, Attached>();
  for (const row of rows) {
    const key = `${row.network}/${row.containerId}/${row.ifname} ${row.ips.join()}`;
    if (!known.has(key)) known.set(key, row);
  }
  return [...known.values()];
}

function tableOf(rows: readonly Attached[]): Line[] {
  if (rows.length === 0) return ["No attachments."];
  const heading = ["NETWORK", "OWNER", "INTERFACE", "ADDRESS", "MAC", "VETH", "SINCE", "STATE"];
  const spare = ["MAC", "SINCE", "VETH", "INTERFACE", "NETWORK"];
  return [{ heading, rows: rows.map((it) => [it.network, ...cells(it)]), spare }];
}

function cells(it: Attached): Segment[] {
  return [
    it.pod ?? shortened(it.containerId),
    it.ifname || "-",
    it.ips.join(", ") || "-",
    it.mac ?? "-",
    it.veth,
    it.since ?? "-",
    it.ips.length === 0
      ? "no lease"
      : it.live === undefined
      ? { text: "unknown", tone: "faint" }
      : it.live
      ? { text: "live", tone: "good" }
      : { text: "stale", tone: "warning" },
  ];
}

/** A runtime's container ID is known by its first digits; `explain` takes them. */
export function shortened(containerId: string): string {
  return containerId.length > 32 ? containerId.slice(0, 12) : containerId;
}
