import { asCniError, type CniError } from "./base/errors.ts";

interface Undo {
  readonly what: string;
  readonly run: () => Promise<void>;
}

/** What this run made; `run` undoes it, newest first. */
export class Rollback {
  readonly #undos: Undo[] = [];
  readonly #last: Undo[] = [];

  /** Records the undo of the last change. `what` names it for a reader of a failed undo. */
  push(what: string, run: () => Promise<void>): void {
    this.#undos.push({ what, run });
  }

  /** Records an undo that depends on all others: an address must not be free while the veth exists that answers on it. */
  pushLast(what: string, run: () => Promise<void>): void {
    this.#last.push({ what, run });
  }

  /**
   * Undoes everything, and goes on after a failure; what depends on the others is left if one of them failed. Returns
   * `thrown` as an error that also names what was left, and why.
   */
  async run(thrown: unknown): Promise<CniError> {
    const left: string[] = [];
    const reasons: string[] = [];
    const attempt = async ({ what, run }: Undo) => {
      try {
        await run();
      } catch (failure) {
        const { message, details } = asCniError(failure);
        left.push(what);
        reasons.push(details === "" ? message : `${message} (${details})`);
      }
    };
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) {
      await attempt(undo);
    }
    for (let undo = this.#last.pop(); undo !== undefined; undo = this.#last.pop()) {
      if (reasons.length === 0) await attempt(undo);
      else left.push(undo.what);
    }
    const error = asCniError(thrown);
    if (left.length === 0) return error;
    const all = [...new Set(left)].join(", ");
    return error.withDetails(`could not ${all}, the next DEL will: ${reasons.join("; then: ")}`);
  }
}
