import { assertEquals } from "@std/assert";
import { BUILT, hostTest, located } from "../integration/host.ts";
import { SIZE } from "../size.ts";
import { Lab, nameOf, type Row } from "./lab.ts";

/** `OTHER_FORM=FILE`: each row also runs with this build, and has to print the same documents. */
const OTHER_FORM = Deno.env.get("OTHER_FORM");
const FORMS = OTHER_FORM === undefined ? [BUILT] : [BUILT, located(OTHER_FORM)];

/** In the short form, the other build runs one of so many rows. */
const EVERY = SIZE === "full" ? 1 : 6;

/** A test for each row, on its own host. */
export function tableTest(rows: readonly Row[]): void {
  for (const [index, row] of rows.entries()) {
    hostTest(nameOf(row), async (host) => {
      const documents: string[][] = [];
      for (const form of index % EVERY === 0 ? FORMS : FORMS.slice(0, 1)) {
        // The form under test runs through the host, whose report shows its last runs.
        const lab = new Lab(host, form === BUILT ? undefined : form);
        if (documents.length > 0) await lab.clean();
        await row.steps(lab);
        // Sorted, because concurrent runs end in any order.
        documents.push(lab.documents.map(steady).toSorted());
      }
      const [one, other = one] = documents;
      assertEquals(other, one, "documents of the two forms");
    });
  }
}

/** Removes the values that vary from run to run: random MACs, times, process IDs and interface indices. */
function steady(document: string): string {
  return document
    .replaceAll(/\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b/g, "MAC")
    .replaceAll(/\.[0-9a-f]{16}\.tmp\b/g, ".RANDOM.tmp")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replaceAll(/\/proc\/\d+\//g, "/proc/PID/")
    .replaceAll(/\bif\d+\b/g, "IF");
}
