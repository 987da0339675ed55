import type { Phases } from "./phases.ts";
import type { Burst, Footprint, Restart, Times } from "./loads.ts";
import type { Variants } from "./variants.ts";

export interface Bursts {
  readonly add: Burst;
  readonly del: Burst;
  /** Processor time per ADD, divided by that of an ADD that runs alone. */
  readonly toSingle: number;
}

export interface Results {
  /** Each build form and its version of Deno. */
  readonly forms: readonly string[];
  /** Times of single operations, by number of leases that others hold. */
  readonly held: ReadonlyMap<number, Times>;
  readonly bursts: ReadonlyMap<string, Bursts>;
  /** Of the plugins only. */
  readonly restarts: ReadonlyMap<string, Restart>;
  readonly footprints: ReadonlyMap<string, Footprint>;
  /** Bytes of each executable. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly variants: Variants;
  /** Of the script form. */
  readonly phases: Phases;
}
