/** A neighbour that stays: nobody's answer counts beside it. */
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
  /** Permanent ones. */
  neighbours: Neighbour[];
  /** Of a port: the static entries of the bridge's forwarding table, */
  entries: string[];
  /** and its flags. */
  learning: boolean;
  locked: boolean;
}

/** What the model knows of a kernel: plain data, so that it can be copied, compared and put back. */
export interface ModelKernel {
  links: ModelLink[];
  readonly containers: readonly string[];
  /** How many links each run made: gives each an index that does not depend on what others do. */
  made: Record<string, number>;
}

/** What a link has where nothing is said. */
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

/** The word behind `word`. */
export function word(line: readonly string[], before: string): string | undefined {
  const at = line.indexOf(before);
  return at < 0 ? undefined : line[at + 1];
}
