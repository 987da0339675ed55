import { CniError } from "./errors.ts";

/** Every released version of the CNI specification, oldest first. */
export const SPEC_VERSIONS = [
  "0.1.0",
  "0.2.0",
  "0.3.0",
  "0.3.1",
  "0.4.0",
  "1.0.0",
  "1.1.0",
] as const;
export type SpecVersion = (typeof SPEC_VERSIONS)[number];
export const NEWEST: SpecVersion = "1.1.0";

/** A configuration without `cniVersion` has version 0.1.0 (rule X9). */
const OLDEST: SpecVersion = "0.1.0";

/** The shape of results: `ip4`/`ip6` objects, `ips` with a `version`, or `ips` without (rules R3, S5). */
type ResultShape = "0.1" | "0.3" | "1.0";

export function shapeOf(version: SpecVersion): ResultShape {
  if (isAtLeast(version, "1.0.0")) return "1.0";
  return isAtLeast(version, "0.3.0") ? "0.3" : "0.1";
}

export function isAtLeast(version: SpecVersion, floor: SpecVersion): boolean {
  return SPEC_VERSIONS.indexOf(version) >= SPEC_VERSIONS.indexOf(floor);
}

/** Whether `text` is a version above the newest released one. A runtime leaves it out of a list of versions. */
export function isUnreleased(text: string): boolean {
  const parts = numbersOf(text);
  return parts !== undefined && compare(parts, NEWEST) > 0;
}

const FLOORS: Readonly<Record<string, SpecVersion>> = {
  CHECK: "0.4.0",
  GC: "1.1.0",
  STATUS: "1.1.0",
};

/**
 * The configuration's version, checked for `command` (rules X8 to X11). Throws IncompatibleVersion for a version that is
 * not supported or lacks the command, and DecodingFailure if CHECK, GC or STATUS have no valid version.
 */
export function negotiate(text: string, command: string): SpecVersion {
  const version = SPEC_VERSIONS.find((known) => known === (text === "" ? OLDEST : text));
  const floor = FLOORS[command];
  if (version !== undefined && (floor === undefined || isAtLeast(version, floor))) return version;
  const unsupported = (message: string, details = supports(text)) =>
    new CniError("IncompatibleVersion", message, details);
  if (floor === undefined) throw unsupported("incompatible CNI versions");
  const parts = numbersOf(text);
  if (parts === undefined) {
    throw new CniError(
      "DecodingFailure",
      `Cannot read cniVersion ${JSON.stringify(text)} as a version: it is not of the form 1.1.0`,
      supports(text),
    );
  }
  if (compare(parts, floor) < 0) {
    const details = `config is "${text}"; ${command} begins with "${floor}"`;
    throw unsupported(`config version does not allow ${command}`, details);
  }
  throw compare(parts, NEWEST) > 0
    ? unsupported(`plugin version does not allow ${command}`)
    : unsupported("incompatible CNI versions");
}

function supports(text: string): string {
  const all = SPEC_VERSIONS.map((version) => `"${version}"`).join(" ");
  return `config is ${
    JSON.stringify(text)
  }, plugin supports [${all}]; set cniVersion to one of them`;
}

/** Up to three dot-separated numbers (rule X11). */
function numbersOf(text: string): number[] | undefined {
  if (text === "") return numbersOf(OLDEST);
  return /^\d+(\.\d+){0,2}$/.test(text) ? text.split(".").map(Number) : undefined;
}

function compare(parts: readonly number[], version: SpecVersion): number {
  const others = version.split(".").map(Number);
  const [difference = 0] = others.map((other, index) => (parts[index] ?? 0) - other)
    .filter((it) => it !== 0);
  return difference;
}
