import { plainAttachment, type ShownAttachment } from "./attachments.ts";
import type { Call, Command, Report } from "./command.ts";
import { NETWORK_OPTION, readOverview, reportOn, selected } from "./overview.ts";
import type { Line } from "./screen.ts";
import { needsLook, toneOf } from "./state_words.ts";

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
  return reportOn(overview, lines, json, rows.some(({ state }) => needsLook(state)));
}

/** After an error nothing says that the list is empty. */
function tableOf(rows: readonly ShownAttachment[], isPartial: boolean): Line[] {
  if (rows.length === 0) return isPartial ? [] : ["No attachments."];
  return [{
    heading: ["NETWORK", "OWNER", "INTERFACE", "ADDRESS", "MAC", "VETH", "SINCE", "STATE"],
    rows: rows.map(({ network, pod, containerId, ifname, ips, mac, veth, since, state }) => [
      network,
      // `explain` accepts the first digits of a runtime's container ID.
      pod ?? (containerId.slice(0, containerId.length > 32 ? 12 : undefined) || "-"),
      ifname || "-",
      ips.join(", ") || "-",
      mac ?? "-",
      veth,
      since ?? "-",
      { text: state, tone: toneOf(state) },
    ]),
    spare: ["MAC", "SINCE", "VETH", "INTERFACE", "NETWORK"],
    cut: "OWNER",
    broken: "ADDRESS",
  }];
}
