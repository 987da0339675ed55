import type { AddMarks, Leases } from "../ipam.ts";
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
