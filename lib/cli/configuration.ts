import { parse } from "@std/jsonc";
import { CniError } from "../base/errors.ts";
import { Fields, isObject, type JsonObject } from "../base/fields.ts";
import { isUnreleased } from "../base/spec.ts";
import {
  type NetworkConfig,
  parseCniArgs,
  parseConfig,
  parseDocument,
  parseVersion,
} from "../config.ts";
import type { Kernel } from "../netops.ts";
import { type Effects, effectsOn } from "../plugin.ts";
import { type Finding, finding, warning } from "./doctor/finding.ts";
import { didYouMean } from "./wording.ts";

/** Reads the configuration or conflist in `text` as an ADD would. The error names `action`, which needs it. */
export function readConfiguration(text: string, action: string, example: string): NetworkConfig {
  const { findings, config } = readInput(text);
  const wrong = findings.find(({ level }) => level === "error");
  if (config !== undefined && wrong === undefined) return configurationOf(config);
  throw new CniError(
    "DecodingFailure",
    `Cannot ${action} without the network's configuration: ${wrong?.found}`,
    `${wrong?.remedy}; ${example}`,
  );
}

/** Parses a configuration as an ADD does. Throws CniError. */
export function configurationOf(config: JsonObject): NetworkConfig {
  const root = parseDocument(JSON.stringify(config));
  return parseConfig(root, parseVersion(root, "ADD"), parseCniArgs(""));
}

/** The effects of a command on the network. Nothing aborts it; its warnings are dropped without `warn`. */
export function effectsFor(
  config: NetworkConfig,
  kernel: Kernel,
  warn = (_: string) => {},
): Effects {
  const stop = new AbortController().signal;
  return effectsOn(config.name, config.dataDir, { kernel, stop, warn });
}

const TYPE = "atomicni";

/** The findings, and the configuration as a runtime would send it; `undefined` if there is none. */
interface Input {
  readonly findings: readonly Finding[];
  readonly config?: JsonObject;
}

/** Reads a configuration, or this plugin's part of a conflist, from JSON that may have comments. */
export function readInput(text: string): Input {
  const failed = (found: string, remedy: string): Input => ({
    findings: [finding("error", "input", found, remedy)],
  });
  if (text.trim() === "") {
    return failed("stdin is empty", "atomicni doctor < /etc/cni/net.d/10-atomicni.conflist");
  }
  let value: unknown;
  try {
    value = parse(text);
  } catch {
    return { findings: [unreadable(text, "it is not JSON", "fix the JSON there")] };
  }
  if (!isObject(value)) return failed("it is not a JSON object", 'begin with "{"');
  const findings = errorOfJson(text) === undefined ? [] : [unreadable(
    text,
    "it has comments or trailing commas, which runtimes do not read",
    "take them out of the file that the runtime reads",
  )];
  if (Object.hasOwn(value, "plugins")) return readList(value, findings);
  const { type } = value;
  if (type !== TYPE) {
    const found = type === undefined ? `"type" is required` : `"type" is "${type}", not "${TYPE}"`;
    findings.push(wrongType(found, [String(type)]));
  }
  return { findings, config: value };
}

/** The finding if no `type`, which names the plugin that a runtime runs, is this plugin. */
function wrongType(found: string, types: readonly string[]): Finding {
  const near = types.map((type) => didYouMean(type, [TYPE])).find((it) => it !== "");
  return finding("error", "input", found, near ?? `write "type": "${TYPE}"`);
}

/** The error of `JSON.parse`, which is as strict as a runtime's parser; `undefined` if the text is JSON. */
function errorOfJson(text: string): string | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** The finding for text that a runtime can't read: the line, the column and a caret. */
function unreadable(text: string, what: string, remedy: string): Finding {
  const message = errorOfJson(text) ?? "";
  const why = message.replace(/ in JSON at position .*$/, "");
  const at = /end of JSON/.test(message)
    ? text.trimEnd().length
    : /position (\d+)/.exec(message)?.[1];
  // For a misspelt literal V8 quotes the surrounding text, without a position.
  if (at === undefined) return finding("error", "input", `${what}: ${why}`, remedy, 6);
  const before = text.slice(0, Number(at)).split("\n");
  const start = before.at(-1) ?? "";
  const found = `${what}: line ${before.length}, column ${start.length + 1}: ${why}`;
  const line = text.split("\n")[before.length - 1] ?? "";
  const caret = `${start.replaceAll(/[^\t]/g, " ")}^`;
  return { ...finding("error", "input", found, remedy, 6), excerpt: [line, caret] };
}

const LIST_KEYS = [
  ...["cniVersion", "cniVersions", "name", "disableCheck", "disableGC"],
  ...["loadOnlyInlinedPlugins", "plugins"],
];

/** Takes the plugin's configuration out of a list as a runtime does: with the list's name and version. */
function readList(list: JsonObject, findings: Finding[]): Input {
  for (const key of Object.keys(list).filter((it) => !LIST_KEYS.includes(it))) {
    const remedy = didYouMean(key, LIST_KEYS) || "take it out";
    findings.push(warning("key", `"${key}" is not a key of a list, and is ignored`, remedy));
  }
  const entries: readonly unknown[] = Array.isArray(list["plugins"]) ? list["plugins"] : [];
  findings.push(...entries.flatMap((it, index) => refusedByLibcni(it, `plugins[${index}]`)));
  const plugins = entries.filter(isObject);
  const [own, ...more] = plugins.filter(({ type }) => type === TYPE);
  const around = plugins.find(({ delegate }) => isObject(delegate) && delegate["type"] === TYPE);
  if (own === undefined && around !== undefined) {
    const found = `"${
      around["type"]
    }" completes the configuration of its delegate "${TYPE}" itself`;
    const remedy =
      "pass that configuration, which flannel keeps as /var/lib/cni/flannel/CONTAINER-ID";
    findings.push(finding("error", "input", found, remedy));
    return { findings };
  }
  if (own === undefined) {
    const types = plugins.map(({ type }) => String(type));
    const present = types.map((type) => `"${type}"`).join(", ") || "none";
    const found = `no plugin of the list has "type": "${TYPE}"; there are ${present}`;
    findings.push(wrongType(found, types));
    return { findings };
  }
  if (more.length > 0) {
    const found = `"${TYPE}" is in the list more than once: the first entry is used`;
    findings.push(warning("input", found, "take the others out"));
  }
  return { findings, config: { ...own, name: list["name"], cniVersion: versionOf(list) } };
}

/** The finding if libcni refuses the whole list because of this plugin of it. */
function refusedByLibcni(plugin: unknown, at: string): Finding[] {
  const fields = new Fields(isObject(plugin) ? plugin : {});
  const flags = fields.get("capabilities") ?? {};
  const isTyped = typeof fields.get("type") === "string" && fields.isFilled("type");
  if (isTyped && isObject(flags) && Object.values(flags).every((it) => typeof it === "boolean")) {
    return [];
  }
  const [found, remedy] = isTyped
    ? [`${at}.capabilities are not all true or false`, "set each capability to true or false"]
    : [`${at} has no "type"`, "name its program, or take it out"];
  return [finding("error", "input", `${found}: a runtime refuses the whole list`, remedy)];
}

/** The version that libcni (1.2 and newer) uses for a list: the highest released one of `cniVersion` and `cniVersions`. */
function versionOf({ cniVersion, cniVersions }: JsonObject): unknown {
  if (!Array.isArray(cniVersions)) return cniVersion;
  const known = [cniVersion, ...cniVersions].filter((it) =>
    typeof it === "string" && !isUnreleased(it)
  );
  const byNumber = (left: string, right: string) =>
    left.localeCompare(right, "en", { numeric: true });
  return known.sort(byNumber).at(-1) ?? cniVersion;
}
