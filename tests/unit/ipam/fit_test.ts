import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import type { RangeSet } from "../../../lib/base/range.ts";
import { checkFit, checkOwners, type State } from "../../../lib/ipam.ts";
import { range } from "../sets.ts";
import { DUAL, NETWORK, RECORD, SMALL, state } from "./world.ts";

Deno.test("nothing is allocated next to leases of another subnet, nor if a container has the gateway", () => {
  const own = { ...RECORD, ranges: "10.9.0.1 - 10.9.0.6" };
  const ranged: State = { ...state("", "10.9.0.2"), leases: { "c10.9.0.2/eth0": own } };
  const more: RangeSet[] = [[range("10.9.0.0/29")], ...SMALL];
  const rows: [State, RangeSet[], boolean, RangeSet[], number | undefined, string][] = [
    [state("", "10.9.0.2"), SMALL, false, SMALL, 104, "it holds 10.9.0.2"],
    [state("", "10.9.0.2"), SMALL, true, SMALL, 104, "it holds 10.9.0.2"],
    [{ ...state("", "10.9.0.2"), ranges: SMALL }, SMALL, false, SMALL, 104, "it holds 10.9.0.2"],
    [state("", "fd00::2"), SMALL, false, SMALL, 104, "it holds fd00::2"],
    [state("", "10.0.0.1"), SMALL, false, SMALL, 105, '"podnet": "c10.0.0.1/eth0"'],
    // A wider range or a second family fits the held leases.
    [state("", "10.0.0.3"), DUAL, true, DUAL, undefined, ""],
    [{ ...state("", "10.0.0.3"), ranges: SMALL }, SMALL, true, SMALL, undefined, ""],
    // A lease with ranges of its own does not prevent other attachments, with or without own ranges.
    [state("", "10.9.0.2"), SMALL, false, more, undefined, ""],
    [ranged, SMALL, false, SMALL, undefined, ""],
    [{ ...ranged, ranges: DUAL }, SMALL, true, SMALL, undefined, ""],
    [{ ...ranged, ranges: SMALL }, SMALL, true, more, undefined, ""],
  ];
  for (const [held, configuredSets, isWritten, sets, code, message] of rows) {
    const check = () => checkFit(held, { sets, configuredSets }, NETWORK, isWritten);
    if (code === undefined) check();
    else assertEquals(assertThrows(check, CniError, message).code, code);
  }
});

Deno.test("a key that is not a container and interface is an error, code 104", () => {
  checkOwners(state("", "10.0.0.2"), NETWORK);
  for (const key of ["", "/eth0", "c1/", "c1/eth0/1", "c 1/eth0"]) {
    const held = state("", "10.0.0.2");
    const strange = {
      ...held,
      containerToIP: { ...held.containerToIP, [key]: "10.0.0.3" },
      ipToContainer: { ...held.ipToContainer, "10.0.0.3": key },
    };
    const error = assertThrows(() => checkOwners(strange, NETWORK), CniError, "not a container");
    assertEquals(error.code, 104, key);
  }
});
