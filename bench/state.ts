/** State files in the program's format with a given number of leases. */

/** The schemas known here; the first ADD shows which of them the program writes. */
export type Schema = 2 | 3;

/** A lease of another attachment: its owner, and one address of each family. */
export interface Held {
  readonly owner: string;
  readonly addresses: readonly string[];
}

/** A network's range, one for each family. */
export interface Range {
  readonly subnet: string;
  readonly rangeStart: string;
  readonly rangeEnd: string;
  readonly gateway: string;
}

/** The schema of a state file that the program has written. */
export function schemaOf(text: string): Schema {
  const { schema } = JSON.parse(text);
  if (schema === 2 || schema === 3) return schema;
  throw new Error(`bench/state.ts can write schema 2 and 3, the program writes ${schema}`);
}

/** The state file of a network with these leases. */
export function stateText(
  schema: Schema,
  held: readonly Held[],
  ranges: readonly Range[],
): string {
  const one = <T>(list: readonly T[]) => list.length === 1 ? list[0] : list;
  const lease = (index: number) => ({
    since: "2026-01-01T00:00:00Z",
    [schema === 2 ? "veth" : "hostMac"]: "fe:00:00:00:00:01",
    pod: `default/pod-${index}`,
  });
  const state = {
    schema,
    containerToIP: Object.fromEntries(held.map((it) => [it.owner, one(it.addresses)])),
    ipToContainer: Object.fromEntries(
      held.flatMap(({ owner, addresses }) => addresses.map((it) => [it, owner])),
    ),
    lastReserved: one(held.at(-1)?.addresses ?? ranges.map(() => "")),
    leases: Object.fromEntries(
      held.map(({ owner, addresses }, index) => [
        schema === 2 ? addresses[0] : owner,
        lease(index),
      ]),
    ),
    ...(schema === 3 && { ranges: ranges.map((it) => [it]) }),
  };
  return `${JSON.stringify(state)}\n`;
}
