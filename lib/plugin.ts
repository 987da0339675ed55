/** Selects the command that a runtime requests, with its effects. */
import type { Fields } from "./base/fields.ts";
import type { SpecVersion } from "./base/spec.ts";
import {
  type CniCommand,
  type Invocation,
  parseConfig,
  parseNetwork,
  parseValid,
} from "./config.ts";
import { add } from "./plugin/add.ts";
import { check } from "./plugin/check.ts";
import { del } from "./plugin/del.ts";
import { type Context, effectsOn } from "./plugin/effects.ts";
import { gc } from "./plugin/gc.ts";
import { status } from "./plugin/status.ts";
import type { Result } from "./result.ts";

export { add, check, del, gc, status };
export { bridgeSpec, gatewaysOf, hasIpv6Gateway, lostGateways, outages } from "./plugin/bridge.ts";
export { type Effects, effectsOn } from "./plugin/effects.ts";
export { checkConsistent, confirm, knownLeases, type Moment, observe } from "./plugin/observe.ts";
export { reclaim } from "./plugin/release.ts";
export { portOf, UNVERIFIED_MAC } from "./plugin/ports.ts";
export { checkNotShared, checkSoleCarrier } from "./plugin/alone.ts";
export { checkServable } from "./plugin/status.ts";

/** A command of a runtime, with the configuration that is not yet validated. */
export interface Request {
  readonly command: CniCommand;
  readonly invocation: Invocation;
  readonly root: Fields;
  readonly version: SpecVersion;
}

/**
 * Runs the command. Each command reads only the part of the configuration that it needs. `deliver` prints the result of an ADD;
 * if it throws, the ADD is rolled back.
 */
export async function perform(
  { command, invocation, root, version }: Request,
  context: Context,
  deliver: (result: Result) => void,
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
  await add(config, invocation, effects, deliver);
}
