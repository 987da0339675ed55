/**
 * The layout of the state file: one line for each key. The lines of the maps are written again unchanged, so an added lease
 * does not format the other leases. That saves 4 % of an ADD with 1,000 leases, and half of one with 65,000.
 */
import { SCHEMA } from "./damage.ts";

/** The keys of a state file, in its order. */
interface FileKeys {
  readonly containerToIP: object;
  readonly ipToContainer: object;
  readonly lastReserved: string | readonly string[];
  readonly leases: object;
  readonly ranges: readonly object[] | undefined;
}

/** A map's text without its closing brace: the text in the file, and the text added since. */
interface MapText {
  readonly held: Uint8Array<ArrayBuffer>;
  added: string;
}

/** The lines of the three maps. */
export type MapTexts = Readonly<Record<"containerToIP" | "ipToContainer" | "leases", MapText>>;

/** The bytes of a file with these keys, in pieces. `lines`, if given, is the text of the maps, which are then not formatted. */
export function formatKeys(keys: FileKeys, lines: MapTexts | undefined): readonly Uint8Array[] {
  const { containerToIP, ipToContainer, leases } = lines ?? {
    containerToIP: mapText(keys.containerToIP),
    ipToContainer: mapText(keys.ipToContainer),
    leases: mapText(keys.leases),
  };
  const last = JSON.stringify(keys.lastReserved);
  const ranges = keys.ranges === undefined ? "" : `,\n"ranges":${JSON.stringify(keys.ranges)}`;
  return [
    encode(`{"schema":${SCHEMA},\n"containerToIP":`),
    containerToIP.held,
    encode(`${containerToIP.added}},\n"ipToContainer":`),
    ipToContainer.held,
    encode(`${ipToContainer.added}},\n"lastReserved":${last},\n"leases":`),
    leases.held,
    encode(`${leases.added}}${ranges}}\n`),
  ];
}

function mapText(map: object): MapText {
  return { held: encode(JSON.stringify(map).slice(0, -1)), added: "" };
}

/** The lines of a file that `formatKeys` wrote; `undefined` for another layout. A JSON string contains no raw newline. */
export function linesIn(text: string, bytes: Uint8Array<ArrayBuffer>): MapTexts | undefined {
  // With characters beyond ASCII, offsets in the text and in the bytes differ.
  if (text.length !== bytes.length) return undefined;
  let at = 0;
  const held = text.split("\n").map((line) => {
    const start = at + line.indexOf(":") + 1;
    at += line.length + 1;
    return line.endsWith("},") ? bytes.subarray(start, at - "},\n".length) : undefined;
  });
  const [, containerToIP, ipToContainer, , leases] = held;
  if (containerToIP === undefined || ipToContainer === undefined || leases === undefined) {
    return undefined;
  }
  return {
    containerToIP: { held: containerToIP, added: "" },
    ipToContainer: { held: ipToContainer, added: "" },
    leases: { held: leases, added: "" },
  };
}

/** Adds an entry that the map does not have yet. */
export function addEntry(line: MapText, key: string, value: unknown): void {
  const isFirst = line.held.length === 1 && line.added === "";
  line.added += `${isFirst ? "" : ","}${JSON.stringify(key)}:${JSON.stringify(value)}`;
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
