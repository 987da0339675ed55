import { CniError, Malformed, quote } from "../base/errors.ts";
import {
  type ContainerId,
  type InterfaceName,
  parseAnyInterfaceName,
  parseContainerId,
  parseInterfaceName,
} from "../base/names.ts";
import { type CniArgs, parseCniArgs } from "./cni_args.ts";

/** An absolute path to a network namespace, from `CNI_NETNS`. */
export type NetnsPath = string & { readonly __netns: true };
export type Variable = (name: string) => string | undefined;

const COMMANDS = ["ADD", "DEL", "CHECK", "GC", "STATUS"] as const;
export type CniCommand = (typeof COMMANDS)[number];

/** The request's variables except the command; empty if the command does not need them (rule E3). */
export interface Invocation {
  readonly containerId: ContainerId;
  readonly ifname: InterfaceName;
  readonly netns: NetnsPath;
  readonly args: CniArgs;
}

export function isCommand(text: string): text is CniCommand {
  return COMMANDS.some((command) => command === text);
}

/** Variable, the commands that need it, parser (SPEC §2). */
const TABLE: readonly {
  name: string;
  by: readonly CniCommand[];
  check?: (value: string) => unknown;
}[] = [
  { name: "CNI_CONTAINERID", by: ["ADD", "DEL", "CHECK"], check: parseContainerId },
  { name: "CNI_NETNS", by: ["ADD", "CHECK"] },
  { name: "CNI_IFNAME", by: ["ADD", "CHECK"], check: parseInterfaceName },
  // No interface has a name that an ADD refuses, and a DEL of a missing interface succeeds.
  { name: "CNI_IFNAME", by: ["DEL"], check: parseAnyInterfaceName },
  { name: "CNI_PATH", by: ["GC"] },
];

/**
 * Parses each variable that `command` needs (rules E1 to E6). Reports a wrong value first, else all missing variables at
 * once. Throws InvalidEnvironment; InvalidNetNS for a `CNI_NETNS` that can't be a path.
 */
export function parseInvocation(command: CniCommand, env: Variable): Invocation {
  const missing: string[] = [];
  for (const { name, by, check } of TABLE) {
    if (!by.includes(command)) continue;
    const value = env(name) ?? "";
    if (value === "") missing.push(name);
    else if (check !== undefined) checkVariable(name, value, check);
  }
  if (missing.length > 0) {
    throw new CniError(
      "InvalidEnvironment",
      `required env variables [${missing.join(",")}] missing`,
      { details: `${command} needs ${missing.join(", ")}, set by the container runtime` },
    );
  }
  const netns = env("CNI_NETNS") ?? "";
  if (command === "ADD" || command === "CHECK") checkNetns(netns);
  return {
    containerId: (env("CNI_CONTAINERID") ?? "") as ContainerId,
    ifname: (env("CNI_IFNAME") ?? "") as InterfaceName,
    netns: netns as NetnsPath,
    // Nothing that a DEL releases depends on arguments (rule E19).
    args: parseCniArgs(command === "ADD" || command === "CHECK" ? env("CNI_ARGS") ?? "" : ""),
  };
}

/** An `ip` batch interprets quotes, `#`, `\\` and control characters, and has no escape for them. */
function checkNetns(path: string): void {
  // deno-lint-ignore no-control-regex
  const special = /["'#\\\u0000-\u001f]/.exec(path)?.[0];
  const found = !path.startsWith("/")
    ? "it is not an absolute path"
    : special === undefined
    ? undefined
    : `it has a ${quote(special)}, which ip can't be given`;
  if (found === undefined) return;
  throw new CniError(
    "InvalidNetNS",
    `Cannot use CNI_NETNS ${quote(path)} as a network namespace: ${found}`,
    { details: "a path such as /run/netns/NAME or /proc/PID/ns/net" },
  );
}

function checkVariable(name: string, value: string, check: (value: string) => unknown): void {
  try {
    check(value);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    const remedy = `the container runtime sets ${name}; by hand, set it to ${error.wanted}`;
    throw error.named("InvalidEnvironment", name, value, remedy);
  }
}
