/** Selects the command that a runtime requests, with its effects. */
import type { Fields } from "./base/fields.ts";
import type { NetworkName } from "./base/names.ts";
import type { SpecVersion } from "./base/spec.ts";
import {
  type CniCommand,
  type Invocation,
  parseConfig,
  parseNetwork,
  parseValid,
} from "./config.ts";
import { AddMarks, StoredLeases } from "./ipam.ts";
import type { Kernel } from "./netops.ts";
import { add } from "./plugin/add.ts";
import { check } from "./plugin/check.ts";
import { del } from "./plugin/del.ts";
import type { Effects } from "./plugin/effects.ts";
import { gc } from "./plugin/gc.ts";
import { status } from "./plugin/status.ts";
import type { Result } from "./result.ts";

export { add, check, del, gc, status };
export { bridgeSpec, gatewaysOf } from "./plugin/bridge.ts";
export type { Effects } from "./plugin/effects.ts";
export { lostGateways } from "./plugin/gateway_pins.ts";
export { checkConsistent } from "./plugin/consistent.ts";
export { examineClaims, type Moment, transactClaims } from "./plugin/look.ts";
export { reclaim } from "./plugin/neighbours.ts";
export { portOf, portSpec, UNVERIFIED_MAC } from "./plugin/ports.ts";
export { checkSoleCarrier } from "./plugin/carrier.ts";
export { checkNotShared, checkServable } from "./plugin/status.ts";

/** A command of a runtime, with the configuration that is not yet validated. */
export interface Request {
  readonly command: CniCommand;
  readonly invocation: Invocation;
  readonly root: Fields;
  readonly version: SpecVersion;
}

/** The process around a command. */
export interface RunContext {
  readonly kernel: Kernel;
  readonly stop: AbortSignal;
  readonly warn: (sentence: string) => void;
  /** Prints the result of an ADD. If it throws, the ADD is rolled back. */
  readonly deliver: (result: Result) => void;
}

/** The effects of a command on the network `network` with its state in `dataDir`. */
export function effectsOn(
  network: NetworkName,
  dataDir: string,
  { kernel, stop, warn }: Omit<RunContext, "deliver">,
): Effects {
  return {
    kernel,
    leases: new StoredLeases(dataDir, network, stop),
    marks: new AddMarks(dataDir, network),
    stop,
    warn,
  };
}

/** Runs the command. Each command reads only the part of the configuration that it needs. */
export async function perform(
  { command, invocation, root, version }: Request,
  context: RunContext,
): Promise<void> {
  if (command === "DEL" || command === "GC") {
    const network = parseNetwork(root);
    const effects = effectsOn(network.name, network.dataDir, context);
    return await (command === "DEL"
      ? del(network, invocation, effects)
      : gc(network, parseValid(root), effects));
  }
  const config = parseConfig(root, version, invocation.args);
  const effects = effectsOn(config.name, config.dataDir, context);
  if (command === "CHECK") return await check(config, invocation, effects);
  if (command === "STATUS") return await status(config, effects);
  await add(config, invocation, effects, context.deliver);
}
