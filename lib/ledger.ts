/** The format this program writes. Files of the Go original have no number and are read too. */
export const SCHEMA = 2;

/** What is known of a lease beside its address and owner. */
export interface LeaseNote {
  /** UTC, to the second. */
  readonly since: string;
  /** MAC of the host veth the lease was taken for: tells this attachment's runs apart. */
  readonly veth: string;
  readonly pod?: string;
  /** The container's MAC where the runtime chose it. */
  readonly mac?: string;
  /**
   * Names of the host veths of which one is the lease's, blanks between: only of a lease taken over from another
   * plugin. `veth` is then the MAC of the one, or empty where there are several.
   */
  readonly hosts?: string;
}

/** What the network had to give when it last gave an address, as addresses are written; every lease is of its subnet. */
export interface PoolNote {
  readonly subnet: string;
  readonly gateway: string;
  readonly rangeStart: string;
  readonly rangeEnd: string;
}

/** A network's leases as the file has them (DESIGN §5). Addresses are dotted quads, owners `container ID/interface`. */
export interface State {
  readonly containerToIP: Record<string, string>;
  readonly ipToContainer: Record<string, string>;
  /** Empty where no address was given yet. */
  readonly lastReserved: string;
  readonly leases: Record<string, LeaseNote>;
  /** Absent where no ADD of this program was yet. */
  readonly pool?: PoolNote;
}

export function emptyState(): State {
  return { containerToIP: {}, ipToContainer: {}, lastReserved: "", leases: {} };
}

/** Where leases come from. */
export type Origin =
  | "checked" // read and checked, or built here
  | "sealed" // the file was as this program had written it, so that what it had checked then still holds
  | "missing"; // there was no file

/** How many leases are looked up in the text before it pays to read all of it. */
const FEW = 16;

/**
 * A network's leases, to be looked up and changed. Those of a sealed file stay text, in which one is found and changed
 * without reading the others, so that an ADD beside a thousand leases costs what it costs beside none. Whoever asks
 * for many has all of them read.
 */
export class Ledger {
  lastReserved: string;
  pool: PoolNote | undefined;
  readonly origin: Origin;
  #maps: Omit<State, "lastReserved" | "pool"> | undefined;
  #text: Text | undefined;
  #questions = 0;

  constructor({ lastReserved, pool, ...maps }: State, origin: Origin = "checked") {
    this.lastReserved = lastReserved;
    this.pool = pool;
    this.#maps = maps;
    this.origin = origin;
  }

  /** The leases in the text of a sealed file, without the seal and the last brace; `undefined` where it has another form. */
  static fromSealed(text: string): Ledger | undefined {
    const found = split(text);
    if (found === undefined) return undefined;
    const { lastReserved, pool, ...sections } = found;
    const ledger = new Ledger({ ...emptyState(), lastReserved, ...(pool && { pool }) }, "sealed");
    ledger.#maps = undefined;
    ledger.#text = sections;
    return ledger;
  }

  /** The address that `owner` holds. */
  addressOf(owner: string): string | undefined {
    const text = this.#few();
    if (text !== undefined) return stringIn(text.owners, owner);
    return own(this.#all().containerToIP, owner);
  }

  /** Who holds `address`. */
  ownerOf(address: string): string | undefined {
    const text = this.#few();
    if (text !== undefined) return stringIn(text.addresses, address);
    return own(this.#all().ipToContainer, address);
  }

  noteOf(address: string): LeaseNote | undefined {
    const text = this.#few();
    if (text === undefined) return own(this.#all().leases, address);
    const entry = find(text.notes, address, OBJECT);
    return entry && JSON.parse(entry.value);
  }

  /** Notes a lease; neither may `owner` hold another address, nor another `address`. */
  put(owner: string, address: string, note: LeaseNote): void {
    if (this.#text !== undefined) {
      const { owners, addresses, notes } = this.#text;
      this.#text = {
        owners: withEntry(owners, owner, address),
        addresses: withEntry(addresses, address, owner),
        notes: withEntry(notes, address, note),
      };
    } else {
      const { containerToIP, ipToContainer, leases } = this.#all();
      containerToIP[owner] = address;
      ipToContainer[address] = owner;
      leases[address] = note;
    }
    this.lastReserved = address;
  }

  drop(owner: string, address: string): void {
    const text = this.#few();
    if (text !== undefined) {
      this.#text = {
        owners: without(text.owners, find(text.owners, owner, STRING)),
        addresses: without(text.addresses, find(text.addresses, address, STRING)),
        notes: without(text.notes, find(text.notes, address, OBJECT)),
      };
      return;
    }
    const { containerToIP, ipToContainer, leases } = this.#all();
    delete containerToIP[owner];
    delete ipToContainer[address];
    delete leases[address];
  }

  /** All of it, as it is now. */
  state(): State {
    const { lastReserved, pool } = this;
    return { ...this.#all(), lastReserved, ...(pool && { pool }) };
  }

  /** The JSON of the file, without its last brace. */
  toText(): string {
    const { lastReserved, pool } = this;
    if (this.#text === undefined) {
      return JSON.stringify({ schema: SCHEMA, lastReserved, ...this.#all(), pool }).slice(0, -1);
    }
    const { owners, addresses, notes } = this.#text;
    const end = pool === undefined ? "}" : `}${POOL.slice(1, -1)}${JSON.stringify(pool)}`;
    return `${head(lastReserved)}${owners}${ADDRESSES}${addresses}${NOTES}${notes}${end}`;
  }

  /** The text, as long as few questions were asked of it. */
  #few(): Text | undefined {
    if (this.#text !== undefined && ++this.#questions > FEW) this.#all();
    return this.#text;
  }

  #all(): Omit<State, "lastReserved" | "pool"> {
    if (this.#maps !== undefined) return this.#maps;
    const { owners = "", addresses = "", notes = "" } = this.#text ?? {};
    this.#text = undefined;
    return this.#maps = {
      containerToIP: JSON.parse(`{${owners}}`),
      ipToContainer: JSON.parse(`{${addresses}}`),
      leases: JSON.parse(`{${notes}}`),
    };
  }
}

function own<T>(map: Record<string, T>, key: string): T | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

/** What stands between the braces of each map: `"key":value`, commas between, no white space. */
interface Text {
  readonly owners: string;
  readonly addresses: string;
  readonly notes: string;
}

// What stands between the maps. None of it can stand inside of one, for a quote in a string has a backslash before it.
const ADDRESSES = '},"ipToContainer":{';
const NOTES = '},"leases":{';
const POOL = '},"pool":{';

function head(lastReserved: string): string {
  return `{"schema":${SCHEMA},"lastReserved":"${lastReserved}","containerToIP":{`;
}

function split(
  text: string,
): Text & { readonly lastReserved: string; readonly pool?: PoolNote } | undefined {
  const [, lastReserved = ""] = /"lastReserved":"([0-9.]*)"/.exec(text.slice(0, 64)) ?? [];
  const start = head(lastReserved);
  const addresses = text.indexOf(ADDRESSES);
  const notes = text.indexOf(NOTES, addresses);
  const pool = text.lastIndexOf(POOL);
  const end = pool < 0 ? text.length - 1 : pool;
  if (!text.startsWith(start) || addresses < 0 || notes < 0 || end < notes) return undefined;
  const sections = {
    owners: text.slice(start.length, addresses),
    addresses: text.slice(addresses + ADDRESSES.length, notes),
    notes: text.slice(notes + NOTES.length, end),
  };
  const rest = pool < 0 ? "}" : text.slice(pool + POOL.length - 1);
  // Where another version has put more into the file, all of it is read and checked.
  if (
    !isOneMap(sections.owners, '"') || !isOneMap(sections.addresses, '"') ||
    !isOneMap(sections.notes, '"}') || rest.indexOf("}") < rest.length - 1
  ) return undefined;
  return { lastReserved, ...sections, ...(pool >= 0 && { pool: JSON.parse(rest) }) };
}

/** Whether these are a map's entries, the last of which has that end, and nothing of what may stand behind a map. */
function isOneMap(entries: string, end: string): boolean {
  return entries === "" ||
    entries.startsWith('"') && entries.endsWith(end) && !entries.includes(`${end}},"`);
}

interface Entry {
  readonly start: number;
  readonly end: number;
  readonly value: string;
}

const STRING = /"(?:[^"\\]|\\.)*"/y;
/** One whose values are strings, as those of a note are. */
const OBJECT = /\{(?:"(?:[^"\\]|\\.)*"[:,]?)*\}/y;

/** The entry of `key`; its value's first character tells it from a key inside of a value. */
function find(entries: string, key: string, kind: typeof STRING): Entry | undefined {
  const name = `${JSON.stringify(key)}:`;
  const opening = kind === STRING ? '"' : "{";
  const start = entries.startsWith(`${name}${opening}`)
    ? 0
    : entries.indexOf(`,${name}${opening}`) + 1 || undefined;
  if (start === undefined) return undefined;
  kind.lastIndex = start + name.length;
  const [value] = kind.exec(entries) ?? [];
  return value === undefined ? undefined : { start, end: kind.lastIndex, value };
}

function stringIn(entries: string, key: string): string | undefined {
  const entry = find(entries, key, STRING);
  return entry && JSON.parse(entry.value);
}

function withEntry(entries: string, key: string, value: string | LeaseNote): string {
  const entry = `${JSON.stringify(key)}:${JSON.stringify(value)}`;
  return entries === "" ? entry : `${entries},${entry}`;
}

/** The entries without that one and the comma beside it. */
function without(entries: string, entry: Entry | undefined): string {
  if (entry === undefined) return entries;
  const { start, end } = entry;
  return start > 0 ? entries.slice(0, start - 1) + entries.slice(end) : entries.slice(end + 1);
}
