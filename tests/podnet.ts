import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../lib/base/errors.ts";
import type { SpecVersion } from "../lib/base/spec.ts";
import { type NetworkConfig, parseCniArgs, parseConfig, parseDocument } from "../lib/config.ts";

/** A valid configuration that a test can change. */
export const NET = {
  cniVersion: "1.1.0",
  name: "podnet",
  type: "atomicni",
  bridge: "atomic0",
  subnet: "10.86.0.0/24",
  gateway: "10.86.0.1",
} as const;

/** The result of reading a configuration. */
export function config(value: object, version: SpecVersion = "1.1.0", args = ""): NetworkConfig {
  return parseConfig(parseDocument(JSON.stringify(value)), version, parseCniArgs(args));
}

/** Asserts that a configuration is refused with that code and that text in the message. */
export function refused(
  value: object,
  code: number,
  message: string,
  version: SpecVersion = "1.1.0",
): void {
  const error = assertThrows(() => config(value, version), CniError, message);
  assertEquals(error.code, code, error.message);
}
