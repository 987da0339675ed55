import { asCniError, type ErrorName } from "../../base/errors.ts";
import { defined } from "../../base/fields.ts";
import type { NetworkConfig } from "../../config.ts";
import type { Kernel, Link, RouteFound } from "../../netops.ts";
import type { Overview } from "../overview.ts";

/** `note` can't be seen within the permission scope; `warning` works, but not as expected; `error` fails an ADD. */
export type Level = "ok" | "note" | "warning" | "error";

export interface Finding {
  readonly level: Level;
  readonly about: string;
  /** A sentence without the final full stop. */
  readonly found: string;
  /** A command to run or a value to write; absent if nothing has to be done. */
  readonly remedy?: string;
  /** The code an ADD would fail with. */
  readonly code?: number;
  /** The line of the input, and a caret below the place in it. */
  readonly excerpt?: readonly string[];
}

/** A network, and what an ADD of it would find on this host. */
export interface Scene {
  readonly config: NetworkConfig;
  readonly kernel: Kernel;
  readonly overview: Overview;
  readonly links: readonly Link[];
  readonly routes: readonly RouteFound[];
  /** The checks of ADD itself passed. */
  readonly isServed: boolean;
}

export function finding(
  level: Level,
  about: string,
  found: string,
  remedy?: string,
  code?: number,
): Finding {
  return { level, about, found, ...defined({ remedy: remedy || undefined, code }) };
}

export function warning(about: string, found: string, remedy?: string): Finding {
  return finding("warning", about, found, remedy);
}

/** The subject of each kind of error that an ADD can throw. */
const ABOUT: { readonly [kind in ErrorName]?: string } = {
  BridgeUnusable: "bridge",
  StateDamaged: "state",
  IOFailure: "folder",
  PoolExhausted: "pool",
  UnsupportedField: "configuration",
};

/** The findings of a check. If it throws, the error is the only finding; without `about`, its kind has the subject. */
export async function findingsOf(
  about: string | undefined,
  look: () => Finding[] | void | Promise<Finding[] | void>,
  level: Level = "error",
): Promise<readonly Finding[]> {
  try {
    return await look() ?? [];
  } catch (thrown) {
    const { code, kind, message, details } = asCniError(thrown);
    const fails = level === "error" ? code : undefined;
    return [finding(level, about ?? ABOUT[kind] ?? "ip", message, details, fails)];
  }
}
