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
  points: {
    title: "One storm, cut at many points",
    text:
      "The test records the writes of one storm. For each point of the record, it builds the disk that a power cut at this point leaves, and a kernel mounts it. After each cut, the state is readable, a lease of an acknowledged DEL is not back, and a lease of an acknowledged ADD is not missing. No address is allocated twice, and no temporary file outlives the next ADD. A pool full of dead containers' leases serves an ADD at once.",
    columns: ["file system", "points", "writes", "flushes", "commands", "blocks kept"],
  },
  programs: {
    title: "Programs that must fail",
    text:
      "The same test runs programs that leave out calls, to show that it finds the harm. If one of them passes, the run fails.",
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
  `Written by \`make machine\`, which took ${seconds} s; each line is the outcome of a test of \`tests/machine/\` in that run. User-mode Linux boots the machines, with the host's root read-only and the state folder on a disk with a volatile write cache.`,
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
