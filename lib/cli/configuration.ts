import { CniError } from "../base/errors.ts";
import type { JsonObject } from "../base/fields.ts";
import {
  type NetworkConfig,
  parseCniArgs,
  parseConfig,
  parseDocument,
  parseVersion,
} from "../config.ts";
import type { Kernel } from "../netops.ts";
import { type Effects, effectsOn } from "../plugin.ts";
import { readInput } from "./doctor/input.ts";

/** Reads the configuration or conflist in `text` as an ADD would. The error names `action`, which needs it. */
export function readConfiguration(text: string, action: string, example: string): NetworkConfig {
  const { findings, config } = readInput(text);
  const wrong = findings.find(({ level }) => level === "error");
  if (config !== undefined && wrong === undefined) return configurationOf(config);
  throw new CniError(
    "DecodingFailure",
    `Cannot ${action} without the network's configuration: ${wrong?.found ?? "there is none"}`,
    { details: wrong?.remedy === undefined ? example : `${wrong.remedy}; ${example}` },
  );
}

/** Parses a configuration as an ADD does. Throws CniError. */
export function configurationOf(config: JsonObject): NetworkConfig {
  const root = parseDocument(JSON.stringify(config));
  return parseConfig(root, parseVersion(root, "ADD"), parseCniArgs(""));
}

/** The effects of a command on the network. Nothing aborts it; its warnings are dropped without `warn`. */
export function effectsFor(
  { name, dataDir }: NetworkConfig,
  kernel: Kernel,
  warn: (sentence: string) => void = () => {},
): Effects {
  return effectsOn(name, dataDir, { kernel, stop: new AbortController().signal, warn });
}
