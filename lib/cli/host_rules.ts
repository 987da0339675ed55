import { parseConfig, parseStdin, parseVersion } from "../config.ts";
import { CniError, Malformed, quote } from "../errors.ts";
import { hostRules } from "../hostrules.ts";
import { type Cidr, parseCidr } from "../ipv4.ts";
import type { Call, Command, Report } from "./command.ts";
import { readInput } from "./doctor/input.ts";

export const hostRulesCommand: Command = {
  name: "host-rules",
  takes: "[NETWORK ...] < CONFIGURATION",
  about: "nftables rules for nft -f -: masquerading, except towards each NETWORK",
  example: "atomicni host-rules 10.244.0.0/16 < /etc/cni/net.d/10-atomicni.conflist",
  options: {},
  mostWords: 64,
  run,
};

async function run({ stdin, words }: Call): Promise<Report> {
  const direct = words.map(network);
  const { config, findings } = readInput(await stdin());
  if (config === undefined) {
    const [{ found, remedy } = { found: "it has none", remedy: "" }] = findings.filter((it) =>
      it.level === "error"
    );
    throw new CniError(6, `Cannot read stdin as a network configuration: ${found}`, {
      details: remedy ?? "",
    });
  }
  const root = parseStdin(JSON.stringify(config));
  const rules = hostRules(parseConfig(root, parseVersion(root, "ADD"), {}), direct);
  return { lines: rules.trimEnd().split("\n"), json: { rules }, exit: 0 };
}

function network(word: string): Cidr {
  try {
    return parseCidr(word);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw new CniError(7, `Cannot use ${quote(word)} as ${error.wanted}: ${error.found}`, {
      details: "name networks that are reached under the container's own address: 10.244.0.0/16",
      cause: error,
    });
  }
}
