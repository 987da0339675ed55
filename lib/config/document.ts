import { CniError, orReport, quote } from "../base/errors.ts";
import { Fields, isObject, parseString } from "../base/fields.ts";
import { type NetworkName, parseNetworkName } from "../base/names.ts";
import { negotiate, type SpecVersion } from "../base/spec.ts";
import { noConfiguration } from "../base/stdio.ts";
import type { CniCommand } from "./environment.ts";

/** The object on stdin, with a valid name (rules S1, S2, E5). Throws DecodingFailure, InvalidNetworkConfig. */
export function parseDocument(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const found = text.trim() === "" ? "it is empty" : (error as Error).message;
    throw noConfiguration(found, ONE_OBJECT, text);
  }
  // Go's decoder reads null as an object without keys, and runtimes' test suites rely on it.
  if (value !== null && !isObject(value)) {
    throw noConfiguration("it is not a JSON object", ONE_OBJECT, text);
  }
  const root = new Fields(value ?? {});
  const texts = new Fields(root.raw, "", "DecodingFailure");
  for (const key of ["name", "cniVersion"]) {
    texts.optional(key, parseString, `put the value of ${key} in double quotes`);
  }
  parseName(root);
  return root;
}

const ONE_OBJECT =
  "one JSON object without comments; atomicni doctor < CONFIGURATION shows the place";

/** The configuration's version, checked for `command`: see `negotiate`. */
export function parseVersion(root: Fields, command: CniCommand): SpecVersion {
  return negotiate(root.optional("cniVersion", parseString) ?? "", command);
}

export function parseName(root: Fields): NetworkName {
  const name = root.get("name");
  const remedy = `"name" is ${quote(name)}; a letter or digit, then letters, digits, _ . -`;
  return orReport(
    () => parseNetworkName(name ?? undefined),
    ({ found }) => new CniError("InvalidNetworkConfig", found, remedy),
  );
}
