import { assert, assertEquals } from "@std/assert";
import { emptyState, type LeaseNote, Ledger, type State } from "../lib/ledger.ts";

const NOTE: LeaseNote = { since: "2026-01-01T00:00:00Z", veth: "fe:00:00:00:00:01" };
const POOL = {
  subnet: "10.0.0.0/24",
  gateway: "10.0.0.1",
  rangeStart: "10.0.0.2",
  rangeEnd: "10.0.0.9",
};

/** The same leases as text and as maps. */
function both(state: State): { text: Ledger; maps: Ledger } {
  const text = Ledger.fromSealed(new Ledger(state).toText());
  assert(text !== undefined, "the text of a ledger is not taken");
  return { text, maps: new Ledger(structuredClone(state)) };
}

/** The state in the file that would be written. */
function written(ledger: Ledger): unknown {
  return JSON.parse(`${ledger.toText()}}`);
}

function state(...owners: string[]): State {
  const built: State = { ...emptyState(), lastReserved: "10.0.0.2", pool: POOL };
  owners.forEach((owner, index) => {
    built.containerToIP[owner] = `10.0.0.${index + 2}`;
    built.ipToContainer[`10.0.0.${index + 2}`] = owner;
    if (owner.includes("/")) built.leases[`10.0.0.${index + 2}`] = NOTE;
  });
  return built;
}

Deno.test("a Ledger of text finds one lease, whatever stands beside it", () => {
  // Names that look like what stands between them, like an address, or that JSON writes in another way.
  const owners = [
    "c/eth0",
    "c1/eth0",
    'c2/},"ipToContainer":{',
    'c3/","c9/eth0":"10.0.0.99',
    "c4/\\",
    "c5/é\u{1f600}",
    "10.0.0.2",
    "10.0.0.2/eth0",
    "eth0",
  ];
  const { text, maps } = both(state(...owners));
  for (const owner of [...owners, "c", "c9/eth0", "1/eth0", "10.0.0.3", "", "schema"]) {
    assertEquals(text.addressOf(owner), maps.addressOf(owner), owner);
  }
  const { text: other } = both(state(...owners));
  for (const address of ["10.0.0.2", "10.0.0.8", "10.0.0.1", "10.0.0", "10.0.0.99"]) {
    assertEquals(other.ownerOf(address), maps.ownerOf(address), address);
    assertEquals(other.noteOf(address), maps.noteOf(address), address);
  }
});

Deno.test("a key inside of a note is not taken for a lease's", () => {
  const strange = { ...NOTE, "10.0.0.3": "x", pod: '{"10.0.0.3":{' } as LeaseNote;
  const { text } = both({ ...state("c1", "c2"), leases: { "10.0.0.2": strange } });
  assertEquals([text.noteOf("10.0.0.2"), text.noteOf("10.0.0.3")], [strange, undefined]);
  const behind = both({
    ...state("c1", "c2"),
    leases: { "10.0.0.2": strange, "10.0.0.3": NOTE },
  });
  assertEquals(behind.text.noteOf("10.0.0.3"), NOTE);
  text.drop("c1", "10.0.0.2");
  assertEquals(written(text), { schema: 2, ...state("c1", "c2"), ...without("c1", "10.0.0.2") });
});

function without(owner: string, address: string): Partial<State> {
  const { containerToIP, ipToContainer } = state("c1", "c2");
  delete containerToIP[owner];
  delete ipToContainer[address];
  return { containerToIP, ipToContainer, leases: {} };
}

Deno.test("a Ledger of text is changed to what one of maps is changed to", () => {
  let seed = 1;
  const draw = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
  for (let round = 0; round < 500; round++) {
    const count = draw(6);
    const before = state(...Array.from({ length: count }, (_, at) => `c${at}/eth${draw(3)}`));
    const { text, maps } = both(draw(4) === 0 ? { ...emptyState() } : before);
    // More than `FEW` of them have the text read on the way.
    for (let changes = draw(30); changes > 0; changes--) {
      const held = Object.entries(maps.state().containerToIP);
      const [owner, address] = held[draw(held.length || 1)] ?? [];
      if (owner !== undefined && address !== undefined && draw(2) === 0) {
        for (const ledger of [text, maps]) ledger.drop(owner, address);
      } else {
        const next = `10.0.1.${draw(200)}`;
        const name = `n${next}/eth0`;
        assertEquals(text.ownerOf(next), maps.ownerOf(next));
        if (maps.ownerOf(next) !== undefined) continue;
        for (const ledger of [text, maps]) ledger.put(name, next, { ...NOTE, pod: `web/${next}` });
      }
      assertEquals(written(text), written(maps), `round ${round}`);
    }
    assertEquals(text.state(), maps.state());
    assertEquals(Ledger.fromSealed(text.toText())?.state(), maps.state());
  }
});

Deno.test("text of another form is not taken", () => {
  const good = new Ledger(state("c1/eth0")).toText();
  const rows = [
    "",
    "{",
    good.slice(1),
    good.replace('"schema":2', '"schema":3'),
    good.replace('{"schema":2,', '{ "schema":2,'),
    good.replace('"ipToContainer"', '"ipToContainers"'),
    good.replace('"leases":{', '"lease":{'),
    `{"pool":{},${good.slice(1)}`,
    // More than is known here, as another version might have put there.
    `${good},"more":{"a":{"b":"c"}}`,
    ...["ipToContainer", "leases", "pool"].map((key) => {
      return good.replace(`},"${key}"`, `},"more":{"a":"b"},"${key}"`);
    }),
    good.replace(/"pool":.*/, `"more":{}`),
    `${new Ledger(emptyState()).toText()},"more":{}`,
  ];
  for (const text of rows) assertEquals(Ledger.fromSealed(text), undefined, text);
});
