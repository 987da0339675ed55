import type { NetworkName } from "../base/names.ts";
import { AddMarks, type Leases, StoredLeases } from "../ipam.ts";
import type { Kernel } from "../netops.ts";

/** The effects of a command. They are injected, so that tests can replace them. */
export interface Effects {
  readonly kernel: Kernel;
  readonly leases: Leases;
  readonly marks: AddMarks;
  /** Aborts with a `CniError` of TryAgainLater when the run has to end. */
  readonly stop: AbortSignal;
  /** Prints a sentence for people on stderr. */
  readonly warn: (sentence: string) => void;
}

/** The effects that do not depend on the network. */
export type Context = Pick<Effects, "kernel" | "stop" | "warn">;

/** The effects of a command on the network `network` with its state in `dataDir`. */
export function effectsOn(network: NetworkName, dataDir: string, context: Context): Effects {
  const leases = new StoredLeases(dataDir, network, context.stop);
  return { ...context, leases, marks: new AddMarks(dataDir, network) };
}
