import { CniError } from "../base/errors.ts";
import {
  type NetworkConfig,
  parseCniArgs,
  parseConfig,
  parseDocument,
  parseVersion,
} from "../config.ts";
import { readInput } from "./doctor/input.ts";

/** Reads the configuration or conflist in `text` as an ADD would. The error names `action`, which needs it. */
export function readConfiguration(text: string, action: string, example: string): NetworkConfig {
  const { findings, config } = readInput(text);
  const wrong = findings.find(({ level }) => level === "error");
  if (config === undefined || wrong !== undefined) {
    const found = wrong?.found ?? "there is none";
    throw new CniError(
      "DecodingFailure",
      `Cannot ${action} without the network's configuration: ${found}`,
      { details: wrong?.remedy === undefined ? example : `${wrong.remedy}; ${example}` },
    );
  }
  const root = parseDocument(JSON.stringify(config));
  return parseConfig(root, parseVersion(root, "ADD"), parseCniArgs(""));
}
