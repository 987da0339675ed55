import { markdownTable } from "../markdown.ts";
import { printPage, readOutcomes } from "../outcomes.ts";
import type { Fault } from "./fault.ts";

/** Faults that can't be caused on the test machines. They are listed as not tested. */
const UNTESTED: Record<string, string> = {
  "a disk that says it has synced and has not": "no program can tell",
  "an `ip` that exits 0 and did nothing":
    "ADD reads back what it made on the host's side only; CHECK reads the container's too",
  "an `ip` of a killed run that acts more than 2 s after its death":
    "seen in no kill; the model lets it act at any time up to the end of a DEL's wait, which is 2 s",
  "a killed ADD of an existing attachment, with an `ip` that acts after the DEL removed the attachment's veth":
    "no runtime does it; the model lets that `ip` act before the DEL alone",
  "an `ip neigh flush` of a killed DEL or GC that acts after another ADD reserved the address":
    "the guard's neighbour is lost: CHECK reports it and `repair` puts it back; in the model it acts at once",
  "a run that made the bridge again, killed or out of time before it put the other ports back":
    "the next ADD finds a bridge and does not check its ports: `repair` puts them back",
  "two nodes on one state folder (NFS)":
    "not supported: flock and rename are those of a local file system",
};

// A repeated fault counts once.
const seen = new Map<string, Fault>();
for (const it of await readOutcomes<Fault>()) {
  seen.set(it.fault.replace(/\d+ places/, "places"), it);
}
const rows = [...seen.values()].sort((a, b) => a.fault.localeCompare(b.fault, "en"));

await printPage([
  "# Faults",
  "",
  "Written by `make faults`; each line is what a test of `tests/faults/` saw in that run. The exact histories, places and seeds are in its output.",
  "",
  '"Each `ip` in turn" replaces one `ip` of the run by a fault. `fails` does nothing and fails, `done-fails` works and then fails. `half` runs only the first line of its batch, and fails. `killed` and `done-killed` are killed before and after their work. `garbage` works, succeeds, and prints text that is not JSON.',
  "",
  'A line that begins with `model` explores the orders in which the steps of several runs and their faults can happen, with a model of the kernel; the tries are the states that it reached. The lines "to see that it finds mistakes" do the same with a program that is wrong on purpose.',
  "",
  ...markdownTable(
    ["fault", "tries", "outcome"],
    rows.map(({ fault, tries, outcome }) => [fault, tries, outcome]),
  ),
  "",
  "## Untested",
  "",
  ...markdownTable(["fault", "why, and what is done instead"], Object.entries(UNTESTED)),
  "",
]);
