import type { Leases, Marks } from "../ipam.ts";
import type { Kernel } from "../netops.ts";

/** All that a command acts on; injected, so that tests can stand in for it. */
export interface Effects {
  readonly kernel: Kernel;
  readonly leases: Leases;
  readonly marks: Marks;
  /** Aborts with a `CniError` of TryAgainLater when the run is to end. */
  readonly stop: AbortSignal;
  /** A sentence for people, on stderr. */
  readonly warn: (sentence: string) => void;
}
