/** A permanent neighbour entry: replies of other hosts don't change it. */
export interface Neighbour {
  readonly ip: string;
  readonly mac: string;
}

/** One end of a veth, or a bridge. Indices are unique over all namespaces. */
export interface ModelLink {
  readonly index: number;
  /** Name below /run/netns; empty for the host. */
  readonly netns: string;
  readonly name: string;
  readonly kind: "bridge" | "veth";
  readonly peer?: number;
  mac: string;
  alias: string;
  master: string;
  group: string;
  up: boolean;
  addresses: string[];
  /** Permanent neighbours. */
  neighbours: Neighbour[];
  /** The port's static entries in the bridge's forwarding table. */
  entries: string[];
  /** The port's flags. */
  learning: boolean;
  locked: boolean;
}

/** The model's kernel: plain data, so that it can be copied, compared and restored. */
export interface ModelKernel {
  links: ModelLink[];
  readonly containers: readonly string[];
  /** How many links each run made, so that the index of a link does not depend on other runs. */
  made: Record<string, number>;
}

/** The defaults of a link. */
export const PLAIN = {
  alias: "",
  master: "",
  group: "default",
  addresses: [] as string[],
  neighbours: [] as Neighbour[],
  entries: [] as string[],
  learning: true,
  locked: false,
};

/** The argument after `word`. */
export function word(line: readonly string[], before: string): string | undefined {
  const at = line.indexOf(before);
  return at < 0 ? undefined : line[at + 1];
}
