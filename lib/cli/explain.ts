import { type Ip, parseInterfaceAddress, tryIp } from "../base/address.ts";
import { CniError, type ErrorCode, quote, unlessMalformed } from "../base/errors.ts";
import { isObject, type JsonObject } from "../base/fields.ts";
import { plainAttachment, type ShownAttachment } from "./attachments.ts";
import { CODES, withoutBackquotes } from "./codes.ts";
import { type Call, type Command, type Report, UsageError } from "./command.ts";
import { about, absent, bridgeLines, networkLines } from "./explain_sentences.ts";
import { readOverview, reportOn } from "./overview.ts";
import { strong, textOf } from "./screen.ts";
import { needsLook } from "./state_words.ts";

export const explain: Command = {
  name: "explain",
  takes: "ADDRESS | MAC | NAME | CODE",
  about: "describes an address, a MAC, a network, bridge, host veth, container or pod, or an error",
  example: "atomicni explain 10.86.0.2",
  maxArguments: 2,
  run: report,
};

const USAGE = "atomicni explain 10.86.0.2; an error document may come on stdin";

async function report({ args, kernel, stdin }: Call): Promise<Report> {
  const text = (args.length > 0 ? args.join(" ") : await stdin()).trim();
  if (text === "") throw new UsageError("Cannot explain nothing", USAGE);
  const error = errorIn(text);
  if (error !== undefined && error[0] !== text) return explainCode(error);
  if (/\s/.test(text)) {
    throw new UsageError(`Cannot explain ${quote(text)}: it is not one word`, USAGE);
  }
  if (error === undefined) return await lookUp(text, kernel);
  // A container ID may consist of digits.
  const isCode = Object.hasOwn(CODES, text);
  const named = await lookUp(text, kernel, isCode).catch((thrown: unknown) => {
    if (isCode && thrown instanceof CniError) return undefined; // a code needs no state
    throw thrown;
  });
  if (!isCode && (named?.isKnown || named?.exit === 2)) return named;
  const meaning = explainCode(error);
  if (named?.isKnown !== true) return meaning;
  return { ...named, lines: [...meaning.lines, "", ...named.lines] };
}

/** Every network, bridge and attachment of that name. `isExact` excludes container IDs that only start with it. */
async function lookUp(word: string, kernel: Call["kernel"], isExact = false) {
  // An address may have a prefix length.
  const ip = tryIp(word) ?? unlessMalformed(() => parseInterfaceAddress(word).ip);
  const what = ip ?? word;
  const overview = await readOverview(kernel);
  const { networks } = overview;
  const all = networks.flatMap(({ rows }) => rows);
  const found = all.filter((it) => isExact ? it.containerId === what : matches(it, what, ip));
  const named = networks.filter(({ network }) => network === what);
  const known = [
    ...named.flatMap(networkLines),
    ...bridgeLines(what, overview),
    ...found.flatMap(about),
  ];
  const isKnown = known.length > 0;
  const lines = isKnown ? known : absent(what, ip, overview);
  const json = { attachments: found.map(plainAttachment), text: lines.map(textOf) };
  const shown = [...found, ...named.flatMap(({ rows }) => rows)];
  const needsOperator = !isKnown || shown.some(({ state }) => needsLook(state));
  return { ...reportOn(overview, lines, json, needsOperator), isKnown };
}

/** Whether the attachment has the address, a MAC, the veth, the pod, the name in errors, or a container ID that starts so. */
function matches(it: ShownAttachment, what: string, ip: Ip | undefined): boolean {
  const { ips, veth, pod, network, containerId, ifname, mac, link } = it;
  if (ip !== undefined) return ips.includes(ip);
  const key = `${containerId}/${ifname}`;
  const names = [pod, pod?.split("/")[1], key, `${network}/${key}`, ...veth.split(" or ")];
  if (names.includes(what) || [mac, link?.mac].includes(what.toLowerCase())) return true;
  return containerId.startsWith(what);
}

/** A code, and the message and the details of its error document. */
type FoundCode = readonly [code: string, ...said: string[]];

/** The error in `101`, `error 101`, `code: 101`, or in an error document, which may be part of a log line. */
function errorIn(text: string): FoundCode | undefined {
  const number = /^(?:(?:error|code)\s*:?\s*){0,2}(\d{1,3})$/i.exec(text)?.[1];
  if (number !== undefined) return [number];
  let document: JsonObject;
  try {
    document = JSON.parse(text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1));
  } catch {
    return undefined; // the text is a name
  }
  const { code, msg, details } = isObject(document["error"]) ? document["error"] : document;
  if (typeof code !== "number") return undefined;
  const said = [msg, details].filter((it) => typeof it === "string" && it !== "");
  return [String(code), ...said.map(String)];
}

function explainCode([code, ...said]: FoundCode): Report {
  if (!Object.hasOwn(CODES, code)) {
    throw new UsageError(
      `Cannot explain "${code}": it is not a code of this plugin`,
      `its codes: ${Object.keys(CODES).join(", ")}`,
    );
  }
  const number = Number(code) as ErrorCode;
  const [meaning, cause, ...cure] = CODES[number];
  return {
    lines: [
      ...said.map((it) => `> ${it}`),
      [strong(`Code ${code}: ${withoutBackquotes(meaning)}`)],
      `Why: ${withoutBackquotes(cause)}`,
      "What to do:",
      ...cure.map((step) => `  - ${withoutBackquotes(step)}`),
    ],
    json: { code: number, meaning, cause, cure },
    exit: 0,
  };
}
