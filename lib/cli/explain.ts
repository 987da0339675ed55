import { type Ip, parseInterfaceAddress, tryIp } from "../base/address.ts";
import { CniError, Malformed, quote } from "../base/errors.ts";
import { needsOperator, plainAttachment, type ShownAttachment } from "./attachments.ts";
import { type Call, type Command, type Report, UsageError } from "./command.ts";
import { errorIn, explainCode, isCode } from "./explain_code.ts";
import { about, absent, bridgeLines, networkLines } from "./explain_sentences.ts";
import { readOverview } from "./overview.ts";
import { reportOn } from "./problems.ts";
import { textOf } from "./screen.ts";

export const explain: Command = {
  name: "explain",
  takes: "ADDRESS | MAC | NAME | CODE",
  about: "describes an address, a MAC, a network, bridge, host veth, container or pod, or an error",
  example: "atomicni explain 10.88.0.2",
  maxArguments: 2,
  run: report,
};

const USAGE = "atomicni explain 10.88.0.2; an error document may come on stdin";

async function report({ args, kernel, stdin }: Call): Promise<Report> {
  const text = (args.length > 0 ? args.join(" ") : await stdin()).trim();
  if (text === "") throw new UsageError("Cannot explain nothing", USAGE);
  const error = errorIn(text);
  if (error !== undefined && error.code !== text) return explainCode(error);
  if (/\s/.test(text)) {
    throw new UsageError(`Cannot explain ${quote(text)}: it is not one word`, USAGE);
  }
  if (error === undefined) return await lookUp(text, kernel);
  // A container ID may consist of digits.
  const named = await lookUp(text, kernel, isCode(text)).catch((thrown: unknown) => {
    if (isCode(text) && thrown instanceof CniError) return undefined; // a code needs no state
    throw thrown;
  });
  if (!isCode(text)) return named?.isKnown || named?.exit === 2 ? named : explainCode(error);
  const meaning = explainCode(error);
  if (named?.isKnown !== true) return meaning;
  return { ...named, lines: [...meaning.lines, "", ...named.lines] };
}

/** Every network, bridge and attachment of that name. `isExact` excludes container IDs that only start with it. */
async function lookUp(
  word: string,
  kernel: Call["kernel"],
  isExact = false,
): Promise<Report & { readonly isKnown: boolean }> {
  const ip = addressIn(word);
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
  const needsLook = !isKnown || needsOperator([...found, ...named.flatMap(({ rows }) => rows)]);
  return { ...reportOn(overview, lines, json, needsLook), isKnown };
}

/** The address in `word`, with or without a prefix length. */
function addressIn(word: string): Ip | undefined {
  try {
    return tryIp(word) ?? (word.includes("/") ? parseInterfaceAddress(word).ip : undefined);
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** Whether the attachment has the address, the MAC at either end, the veth, the pod, or a container ID that starts so. */
function matches(
  { ips, veth, pod, containerId, mac, link }: ShownAttachment,
  what: string,
  ip: Ip | undefined,
): boolean {
  if (ip !== undefined) return ips.includes(ip);
  const names = [pod, pod?.split("/")[1], ...veth.split(" or ")];
  if (names.includes(what) || [mac, link?.mac].includes(what.toLowerCase())) return true;
  return what !== "" && containerId.startsWith(what);
}
