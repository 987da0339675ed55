import type { IpOutput } from "../../../lib/netops/ip.ts";
import type { State } from "../../../lib/ipam.ts";
import type { ModelCommand } from "./ip.ts";

/** What a run waits for. */
export type Request =
  | { readonly kind: "ip"; readonly command: ModelCommand }
  | { readonly kind: "read" }
  /** `stoppable`: a signal ends the wait. */
  | { readonly kind: "lock"; readonly stoppable: boolean }
  /** Writes, where there is a state, and lets go of the lock. */
  | { readonly kind: "unlock"; readonly state?: State; readonly isWhole?: boolean }
  /** Lets time pass; `waited` is what the run will have waited in all. */
  | { readonly kind: "wait"; readonly waited: number }
  | { readonly kind: "mark"; readonly what: MarkStep; readonly host: string };

/** `leave` takes no mark away, and holds it no more. */
export type MarkStep = "begin" | "end" | "leave" | "look" | "clear" | "list" | "all";

/** The state with the lock: what there is, and whether the lock's word is of it. */
export interface Locked {
  readonly state: State | null;
  readonly isWritten: boolean;
}

/** What it gets. `stop` comes with it: the run is told to end. */
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
  /** The run does nothing else until it is answered. */
  readonly isNow: boolean;
  /** The request in words, one for each line of an `ip`. */
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
