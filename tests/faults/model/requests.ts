import type { IpOutput } from "../../../lib/netops/ip.ts";
import type { State } from "../../../lib/ipam.ts";
import type { ModelCommand } from "./ip.ts";

/** A request of a run. */
export type Request =
  | { readonly kind: "ip"; readonly command: ModelCommand }
  | { readonly kind: "read" }
  /** `stoppable`: a signal ends the wait. */
  | { readonly kind: "lock"; readonly stoppable: boolean }
  /** Writes the state if there is one, and releases the lock. */
  | { readonly kind: "unlock"; readonly state?: State; readonly isWhole?: boolean }
  /** A pause. `waited` is the run's total wait after it. */
  | { readonly kind: "wait"; readonly waited: number }
  | { readonly kind: "mark"; readonly what: MarkStep; readonly host: string };

/** `leave` keeps the mark in place and releases its flock. */
export type MarkStep = "begin" | "end" | "leave" | "look" | "clear" | "list" | "all";

/** The state under the lock, and whether the lock's record matches it. */
export interface Locked {
  readonly state: State | null;
  readonly isWritten: boolean;
}

/** The reply. With `stop`, the run also gets a signal. */
export interface Reply {
  readonly value?:
    | IpOutput
    | Locked
    | State
    | null
    | string
    | readonly string[]
    | readonly [string, string][];
  readonly error?: { readonly kind: "IOFailure" | "TryAgainLater"; readonly message: string };
  readonly stop?: true;
}

/** A request that has no reply yet. */
export interface Pending {
  /** Which of the run's requests it is. */
  readonly to: number;
  readonly request: Request;
  /** The run does not continue until it is answered. */
  readonly isNow: boolean;
  /** Descriptions of the request, one for each line of an `ip`. */
  readonly texts: readonly string[];
}

export interface Answered {
  readonly to: number;
  readonly reply: Reply;
}

export function textsOf(request: Request): string[] {
  switch (request.kind) {
    case "ip": {
      const { netns, lines } = request.command;
      return lines.map((line) => `${netns === "" ? "" : `in ${netns}: `}ip ${line.join(" ")}`);
    }
    case "mark":
      return [`mark: ${request.what} ${request.host}`];
    case "wait":
      return [`waits, ${request.waited} ms in all`];
    default:
      return [request.kind];
  }
}
