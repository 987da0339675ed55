import { type Ip, parseInterfaceAddress, tryIp } from "../base/address.ts";
import { CniError, Malformed, quote } from "../base/errors.ts";
import { needsOperator, plainAttachment, type ShownAttachment } from "./attachments.ts";
import { type Call, type Command, type Report, UsageError } from "./command.ts";
import { errorIn, explainCode, isCode } from "./explain_code.ts";
import { about, absent, bridgeLines, networkLines, type Sentence } from "./explain_sentences.ts";
import { plainErrors, readOverview } from "./overview.ts";
import { problems } from "./problems.ts";
import { textOf } from "./screen.ts";

export const explain: Command = {
  name: "explain",
  takes: "ADDRESS | MAC | NAME | CODE",
  about: "describes an address, a MAC, a network, bridge, host veth, container or pod, or an error",
  example: "atomicni explain 10.88.0.2",
  options: {},
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
  if (!isCode(text)) {
    const named = await lookUp(text, kernel);
    // A container ID may consist of digits.
    return error === undefined || named.isKnown || named.exit === 2 ? named : explainCode(error);
  }
  const meaning = explainCode({ code: text });
  const named = await tryLookUp(text, kernel);
  if (named?.isKnown !== true) return meaning;
  return { ...named, lines: [...meaning.lines, "", ...named.lines] };
}

/** The container with exactly that ID; `undefined` if the state folder can't be read, because a code needs no state. */
async function tryLookUp(word: string, kernel: Call["kernel"]) {
  try {
    return await lookUp(word, kernel, true);
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
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
  const { networks, errors } = overview;
  const all = networks.flatMap(({ rows }) => rows);
  const found = all.filter((it) => isExact ? it.containerId === what : matches(it, what, ip));
  const named = networks.filter(({ network }) => network === what);
  const known: Sentence[] = [
    ...named.flatMap(networkLines),
    ...bridgeLines(what, overview),
    ...found.flatMap(about),
  ];
  const lines = known.length > 0 ? known : absent(what, ip, overview);
  return {
    lines: [...lines, ...problems(errors)],
    json: {
      attachments: found.map(plainAttachment),
      errors: plainErrors(errors),
      text: lines.map(textOf),
    },
    isKnown: known.length > 0,
    exit: errors.length > 0
      ? 2
      : known.length > 0 && !needsOperator([...found, ...named.flatMap(({ rows }) => rows)])
      ? 0
      : 1,
  };
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
