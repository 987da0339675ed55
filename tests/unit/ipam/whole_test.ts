import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { parseIp } from "../../../lib/base/address.ts";
import { CniError } from "../../../lib/base/errors.ts";
import type { RangeSet } from "../../../lib/base/range.ts";
import { emptyState, type Holder, type State } from "../../../lib/ipam.ts";
import type { Origin } from "../../../lib/ipam/store.ts";
import { DUAL, opened, RECORD, request, SEEN, SMALL, state, type World } from "./world.ts";

Deno.test("nothing is given beside leases of another subnet, nor where a container has the gateway", async () => {
  const rows: [State, Origin, RangeSet[], number | undefined, string][] = [
    [state("", "10.9.0.2"), "changed", SMALL, 104, "it holds 10.9.0.2"],
    [state("", "10.9.0.2"), "written", SMALL, 104, "it holds 10.9.0.2"],
    [{ ...state("", "10.9.0.2"), ranges: SMALL }, "changed", SMALL, 104, "it holds 10.9.0.2"],
    [state("", "fd00::2"), "changed", SMALL, 104, "it holds fd00::2"],
    [
      state("", "10.0.0.1"),
      "changed",
      SMALL,
      105,
      'as the gateway of network "podnet": "c10.0.0.1/eth0"',
    ],
    // A wider range, or one family more, fits what is held.
    [state("", "10.0.0.3"), "written", DUAL, undefined, ""],
    [{ ...state("", "10.0.0.3"), ranges: SMALL }, "written", SMALL, undefined, ""],
  ];
  for (const [initial, origin, sets, code, message] of rows) {
    const one = opened(initial, { origin });
    if (code === undefined) {
      one.leases.mustFit(sets);
      await one.reserve(request("c1", { sets }));
      continue;
    }
    const error = await assertRejects(
      () => one.reserve(request("c1", { sets })),
      CniError,
      message,
    );
    assertEquals([error.code, one.state()], [code, initial]);
  }
  const foreign = opened(state("", "10.9.0.2"));
  assertThrows(() => foreign.leases.mustFit(SMALL), CniError, "it holds 10.9.0.2");
});

Deno.test("who may have an address and no lease keeps another from being given, code 104", async () => {
  const more = { ...SEEN, name: "c8/eth0", key: "c8/eth0" };
  const hidden = { ...SEEN, isSeen: false };
  const nameless: Holder = { ...SEEN, name: "veth0", key: undefined, host: "veth0" };
  const stranger: Holder = { ...nameless, mac: "fe:00:00:00:00:77" };
  const held = { ...SEEN, key: "c10.0.0.2/eth0" };
  const anew = { ...held, mac: "fe:00:00:00:00:99" };
  const rows: [World, string | undefined][] = [
    [{ origin: "missing", holders: [SEEN, more] }, '"c9/eth0" and 1 more hold an address'],
    [{ origin: "missing", holders: [hidden] }, "may hold an address and can't be looked into"],
    [{ origin: "missing", holders: [{ ...SEEN, ips: [] }] }, '"c9/eth0" is attached'],
    [{ origin: "missing", holders: [stranger] }, '"veth0" holds an address'],
    [{ origin: "changed", holders: [SEEN] }, "Cannot use the state"],
    [{ origin: "changed", holders: [stranger] }, '"veth0" holds an address'],
    // What this program wrote last is whole; who has a lease is no stranger.
    [{ origin: "written", holders: [SEEN, stranger] }, undefined],
    [{ origin: "changed", holders: [held] }, undefined],
    // Without name and alias its MAC says whose it is.
    [{ origin: "changed", holders: [nameless] }, undefined],
    // A container can change its addresses, not its host veth.
    [{ origin: "changed", holders: [anew] }, "an earlier ADD"],
    [{ origin: "changed", holders: [{ ...anew, isSeen: false }] }, "an earlier ADD"],
    [{ origin: "changed", holders: [{ ...anew, ips: [parseIp("10.0.0.2")] }] }, undefined],
    [{ origin: "written", holders: [anew] }, undefined],
    [{ origin: "missing", holders: [] }, undefined],
  ];
  for (const [world, message] of rows) {
    const leases = { "c10.0.0.2/eth0": RECORD };
    const one = opened({ ...state("", "10.0.0.2"), leases }, world);
    const reserve = () => one.reserve(request("c1"));
    if (message === undefined) {
      await one.leases.mustBeWhole(one.evidence);
      await reserve();
      continue;
    }
    assertEquals((await assertRejects(reserve, CniError, message)).code, 104);
    const error = await assertRejects(() => one.leases.mustBeWhole(one.evidence), CniError);
    assertMatch(
      error.message,
      message.endsWith("ADD") ? /its lease is of an/ : /ha(s|ve) no lease$/,
    );
  }
});

Deno.test("who can't be a container holds no address in a file that this program did not write last", async () => {
  for (const key of ["", "/eth0", "c1/", "c1/eth0/1", "c 1/eth0"]) {
    const held = state("", "10.0.0.2");
    const strange = {
      ...held,
      containerToIP: { ...held.containerToIP, [key]: "10.0.0.3" },
      ipToContainer: { ...held.ipToContainer, "10.0.0.3": key },
    };
    const one = opened(strange, { origin: "changed" });
    const error = await assertRejects(() => one.reserve(request("c1")), CniError, "no container");
    assertEquals(error.code, 104, key);
    await assertRejects(() => one.leases.mustBeWhole(one.evidence), CniError, "no container");
  }
});

Deno.test("a damaged state is begun anew only where no host veth of the network stands, and nobody has an address", async () => {
  const rows: [World, boolean][] = [
    [{}, true],
    // The run's own veth is there already.
    [{ live: ["c1"] }, true],
    [{ live: ["c1", "c2"] }, false],
    [{ holders: [SEEN] }, false],
    [{ veths: [["av0123456789abc", "other/c2/eth0"]] }, true],
  ];
  for (const [world, isAnew] of rows) {
    const one = opened(emptyState(), { ...world, isDamaged: true });
    if (isAnew) {
      await one.reserve(request("c1"));
      assertEquals(one.held(), { "c1/eth0": "10.0.0.2" });
      assertStringIncludes(one.warnings.join(), "the old file is kept as /s/podnet.json.damaged-1");
    } else {
      const error = await assertRejects(() => one.reserve(request("c1")), CniError, "it is empty");
      assertEquals([error.code, one.warnings], [104, []]);
    }
  }
  const unused = opened(emptyState(), { isDamaged: true });
  assertEquals(await unused.leases.wouldBeginAnew(unused.evidence), true);
  unused.leases.preload();
  unused.leases.mustFit(SMALL);
  const whole = opened(emptyState());
  assertEquals(await whole.leases.wouldBeginAnew(whole.evidence), false);
});
