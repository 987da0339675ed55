import { cell } from "../docs.ts";
import { DIFFERENCES } from "./differences.ts";

/** The section with every difference from the reference, the rule that justifies it and where it was seen. */
export function differencesSection(
  inputs: number,
  same: number,
  explained: ReadonlyMap<string, ReadonlySet<string>>,
  unexplained: readonly string[],
): string {
  const lines = DIFFERENCES.map(({ rule, why, byChance }) => {
    if (byChance) return `| ${rule} | ${cell(why)} | by chance | |`;
    const seen = [...explained.get(why) ?? []];
    return `| ${rule} | ${cell(why)} | ${seen.length} | ${cell(seen.slice(0, 2).join("; "))} |`;
  });
  return `## Differences from bridge + host-local

The same inputs given to both, answers, kernel and leases compared after each step; the reference is Debian's
containernetworking-plugins 1.1.1, whose newest version is 1.0.0. Of ${inputs} inputs ${same} show no difference
at all, forwarding (B2) left aside; ${unexplained.length} differences are without an explanation.

| rule | difference | inputs | for example |
|---|---|---|---|
${lines.join("\n")}
`;
}
