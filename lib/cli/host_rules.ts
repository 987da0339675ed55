import { type Cidr, parseCidr } from "../base/address.ts";
import { Malformed } from "../base/errors.ts";
import type { Call, Command, Report } from "./command.ts";
import { readConfiguration } from "./configuration.ts";
import { hostRules } from "./host_rules/nft.ts";

const EXAMPLE =
  "atomicni host-rules 10.244.0.0/16 < /etc/cni/net.d/10-atomicni.conflist | nft -f -";

export const hostRulesCommand: Command = {
  name: "host-rules",
  takes: "[SUBNET ...] < CONFIGURATION",
  about:
    "prints nftables rules for nft -f -: masquerading, except towards each SUBNET, and filters for the ports",
  example: EXAMPLE,
  maxArguments: 64,
  run,
};

async function run({ stdin, args }: Call): Promise<Report> {
  const direct = args.map(subnet);
  const config = readConfiguration(await stdin(), "make rules", EXAMPLE);
  const rules = hostRules(config, direct);
  return { lines: rules.trimEnd().split("\n"), json: { rules }, isFile: true, exit: 0 };
}

function subnet(word: string): Cidr {
  try {
    return parseCidr(word);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    const remedy = "name subnets that containers reach under their own address: 10.244.0.0/16";
    throw error.named("InvalidNetworkConfig", "SUBNET", word, remedy);
  }
}
