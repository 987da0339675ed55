import { CniError, type ErrorName, Malformed, orReport } from "./errors.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `values` without the keys that are undefined (rule R7). */
export function defined<T extends object>(
  values: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/**
 * A JSON object, read key by key: each access parses its value, and each error names key and value. Keys match as in the Go
 * decoder: the exact spelling first, then any letter case (rule S3). `null` counts as absent.
 */
export class Fields {
  /** The object's spelling of each key, by the key in lower case; built at the first key without an exact match. */
  #spellings: ReadonlyMap<string, string> | undefined;

  /** `at` is the prefix of a key in messages: `ipam.` or empty. */
  constructor(
    readonly raw: JsonObject,
    readonly at: string = "",
    readonly kind: ErrorName = "InvalidNetworkConfig",
  ) {}

  has(key: string): boolean {
    const value = this.get(key);
    return value !== undefined && value !== null;
  }

  /** The unparsed value; `undefined` if the object lacks the key. */
  get(key: string): unknown {
    const spelt = this.spelling(key);
    return spelt === undefined ? undefined : this.raw[spelt];
  }

  /** The object's own spelling of `key`. */
  spelling(key: string): string | undefined {
    if (Object.hasOwn(this.raw, key)) return key;
    // If several match, the last one counts.
    this.#spellings ??= new Map(Object.keys(this.raw).map((it) => [it.toLowerCase(), it]));
    return this.#spellings.get(key.toLowerCase());
  }

  /** The value of `key` through `parse`, which throws `Malformed`. Absent (or `null`) is an error. */
  required<T>(key: string, parse: (value: unknown) => T, remedy = ""): T {
    if (!this.has(key)) {
      throw new CniError(
        this.kind,
        `"${this.at}${key}" is required`,
        remedy || `write "${key}" there`,
      );
    }
    return this.#parse(key, parse, remedy);
  }

  /** As `required`; `undefined` if the key is absent or `null`. */
  optional<T>(key: string, parse: (value: unknown) => T, remedy = ""): T | undefined {
    return this.has(key) ? this.#parse(key, parse, remedy) : undefined;
  }

  /** Whether there is a value other than the empty string. */
  isFilled(key: string): boolean {
    return this.has(key) && this.get(key) !== "";
  }

  /** As `optional`; an empty string counts as absent: Go reads an empty address so, and the reference an empty MAC. */
  unlessEmpty<T>(key: string, parse: (value: unknown) => T): T | undefined {
    return this.isFilled(key) ? this.optional(key, parse) : undefined;
  }

  boolean(key: string): boolean {
    return this.optional(key, parseBoolean) ?? false;
  }

  /** The object under `key`; empty if it is absent. */
  object(key: string): Fields {
    const value = this.optional(key, parseObject) ?? {};
    return new Fields(value, `${this.at}${key}.`, this.kind);
  }

  /** The elements of the list under `key`; an error names the element's index. */
  list<T>(key: string, parse: (value: unknown, at: string) => T): T[] | undefined {
    return this.optional(key, parseList)?.map((value, index) => {
      const at = `${this.at}${key}[${index}]`;
      return orReport(() => parse(value, at), (error) => this.#errorAbout(error, at, value, ""));
    });
  }

  /** The elements of the list of objects under `key`; `what` is the wanted form of an element. */
  objects<T>(key: string, what: string, parse: (fields: Fields) => T): T[] | undefined {
    return this.list(key, (value, at) => {
      if (!isObject(value)) throw new Malformed(what, "it is not an object");
      return parse(new Fields(value, `${at}.`, this.kind));
    });
  }

  reject(key: string, wanted: string, found: string, remedy = ""): never {
    return this.#parse(key, () => {
      throw new Malformed(wanted, found);
    }, remedy);
  }

  #parse<T>(key: string, parse: (value: unknown) => T, remedy: string): T {
    const value = this.get(key);
    const at = `${this.at}${key}`;
    return orReport(() => parse(value), (error) => this.#errorAbout(error, at, value, remedy));
  }

  #errorAbout(error: Malformed, at: string, value: unknown, remedy: string): CniError {
    return error.withName(this.kind, at, value, remedy || `set ${at} to ${error.wanted}`);
  }
}

/** A parser that returns the values that `isOfType` accepts. */
function parserOf<T>(wanted: string, isOfType: (value: unknown) => value is T) {
  return (value: unknown): T => {
    if (isOfType(value)) return value;
    throw new Malformed(wanted, `got ${typeName(value)}`);
  };
}

export const parseString = parserOf("a string", (it) => typeof it === "string");
export const parseBoolean = parserOf("true or false", (it) => typeof it === "boolean");
export const parseObject = parserOf("an object", isObject);
export const parseList = parserOf("a list", (it): it is readonly unknown[] => Array.isArray(it));

export function parseStrings(value: unknown): readonly string[] {
  return parseList(value).map(parseString);
}

/** A parser of whole numbers from `least` to `most`. */
export function parseInteger(least: number, most: number): (value: unknown) => number {
  return (value) => {
    if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) {
      return value;
    }
    throw new Malformed(`a whole number from ${least} to ${most}`, notInteger(value, least));
  };
}

function notInteger(value: unknown, least: number): string {
  if (typeof value !== "number") return `got ${typeName(value)}`;
  if (!Number.isInteger(value)) return "it has a fraction";
  return value < least ? "it is too small" : "it is too large";
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "object") return Array.isArray(value) ? "a list" : "an object";
  return `a ${typeof value}`;
}
