import { needsOperator, plainAttachment, type ShownAttachment } from "./attachments.ts";
import type { Call, Command, Report } from "./command.ts";
import { NETWORK_OPTION, readOverview, selected } from "./overview.ts";
import { reportOn } from "./problems.ts";
import type { Line, Segment, Tone } from "./screen.ts";
import { needsLook, type StateWord } from "./state_words.ts";

export const list: Command = {
  name: "list",
  takes: "[NETWORK]",
  about: "each attachment: its owner, addresses and host veth, and its state in one word",
  example: "atomicni list podnet",
  options: {
    watch: { type: "boolean", about: "refresh every second until interrupted", short: "w" },
    ...NETWORK_OPTION,
  },
  maxArguments: 1,
  run: report,
};

async function report(call: Call): Promise<Report> {
  const overview = await readOverview(call.kernel);
  const rows = selected(overview, call, "list").flatMap((it) => it.rows);
  const lines = tableOf(rows, overview.errors.length > 0);
  const json = { attachments: rows.map(plainAttachment) };
  return reportOn(overview, lines, json, needsOperator(rows));
}

/** After an error nothing says that the list is empty. */
function tableOf(rows: readonly ShownAttachment[], isPartial: boolean): Line[] {
  if (rows.length === 0) return isPartial ? [] : ["No attachments."];
  return [{
    heading: ["NETWORK", "OWNER", "INTERFACE", "ADDRESS", "MAC", "VETH", "SINCE", "STATE"],
    rows: rows.map((it) => [it.network, ...cells(it)]),
    spare: ["MAC", "SINCE", "VETH", "INTERFACE", "NETWORK"],
    cut: "OWNER",
    broken: "ADDRESS",
  }];
}

function cells(it: ShownAttachment): Segment[] {
  return [
    it.pod ?? (shortened(it.containerId) || "-"),
    it.ifname || "-",
    it.ips.join(", ") || "-",
    it.mac ?? "-",
    it.veth,
    it.since ?? "-",
    { text: it.state, tone: toneOf(it.state) },
  ];
}

export function toneOf(word: StateWord): Tone {
  if (word === "unknown") return "faint";
  return needsLook(word) ? "warning" : "good";
}

/** Shortens a runtime's container ID to its first digits, which `explain` accepts. */
function shortened(containerId: string): string {
  return containerId.length > 32 ? containerId.slice(0, 12) : containerId;
}
