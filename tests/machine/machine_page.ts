import { markdownTable } from "../markdown.ts";
import { printPage, readOutcomes } from "../outcomes.ts";
import type { Table, TableRow } from "./page_row.ts";

interface Section {
  readonly title: string;
  readonly text: string;
  readonly columns: readonly string[];
}

/** In the order of the page. */
const SECTIONS: Record<Table, Section> = {
  cuts: {
    title: "Power cuts",
    text:
      "One disk through one cut after the other, each at a random write of a storm of ADD, CHECK and DEL. After each: the state is readable, no lease of an acknowledged DEL is back, no lease of an acknowledged ADD is missing, no address is allocated twice, no temporary file outlives the next ADD, and a pool full of dead containers' leases serves an ADD at once.",
    columns: ["file system", "cuts", "commands", "blocks kept of those in the cache"],
  },
  points: {
    title: "One storm, cut at many points",
    text:
      "The writes of one storm are recorded, and the disk is built as a power cut at each point of the record leaves it. A kernel mounts each.",
    columns: ["file system", "points", "writes", "flushes", "commands", "blocks kept"],
  },
  programs: {
    title: "Programs that must fail",
    text:
      "The same program with calls left out, through the same test. If one of them passes, the run fails.",
    columns: ["left out", "file system", "wrong points", "the first of them"],
  },
  reboot: { title: "Reboot", text: "", columns: ["what", "outcome"] },
  rows: {
    title: "Broken machines",
    text:
      "The reports of an ADD, STATUS and `doctor`, which agree. A failed ADD leaves nothing, and succeeds once the machine is repaired.",
    columns: ["fault", "ADD", "STATUS", "doctor"],
  },
  kernels: {
    title: "Kernels",
    text: "Debian's cloud kernels under QEMU without KVM.",
    columns: ["kernel", "accelerator", "forms", "what worked", "`macspoofchk`"],
  },
};

/** Faults that the test machines can't produce; listed so that no reader takes them for tested. */
const UNTESTED: Record<string, string> = {
  "a real disk":
    "a disk in memory that loses what was not flushed, in blocks of 4 KiB and in no order",
  "a disk that says it has flushed and has not":
    "no program can tell; the table above has the state after a reboot",
};

const outcomes = await readOutcomes<TableRow>();
const [seconds = "?"] = Deno.args;
await printPage([
  "# On a virtual machine",
  "",
  `Written by \`make machine\`, which took ${seconds} s; each line is the outcome of a test of \`tests/machine/\` in that run. The machines are booted by user-mode Linux with the host's root read-only, the state folder on a disk with a volatile write cache.`,
  "",
  ...Object.entries(SECTIONS).flatMap(([table, { title, text, columns }]) => {
    const rows = outcomes.filter((it) => it.table === table).map(({ cells }) => cells);
    return [`## ${title}`, "", ...(text === "" ? [] : [text, ""]), ...sorted(columns, rows)];
  }),
  "## Untested",
  "",
  ...sorted(["what", "instead"], Object.entries(UNTESTED)),
]);

/** Without the parts that differ in each run. */
function lasting(cell: string | number): string {
  return String(cell).replaceAll(/\s+/g, " ")
    .replaceAll(/[0-9a-f]{16}\.tmp/g, "….tmp")
    .replaceAll(/damaged-\d{8}T[\d.]+Z/g, "damaged-TIME");
}

function sorted(columns: readonly string[], rows: readonly (readonly (string | number)[])[]) {
  const [head = "", rule = "", ...lines] = markdownTable(
    columns,
    rows.map((it) => it.map(lasting)),
  );
  return [head, rule, ...lines.sort((a, b) => a.localeCompare(b, "en")), ""];
}
