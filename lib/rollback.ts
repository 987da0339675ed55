import { asCniError, type CniError } from "./base/errors.ts";

interface Undo {
  readonly what: string;
  readonly run: () => Promise<void>;
  /** It is not performed after another undo has failed. */
  readonly isLast: boolean;
}

/** The undos of this run's changes. `run` performs them, newest first. */
export class Rollback {
  readonly #undos: Undo[] = [];

  /** Records the undo of the last change. `what` names the undo in the error if it fails. */
  push(what: string, run: () => Promise<void>): void {
    this.#undos.push({ what, run, isLast: false });
  }

  /** Records an undo that depends on all others: an address must not be free while a veth that uses it exists. */
  pushLast(what: string, run: () => Promise<void>): void {
    this.#undos.unshift({ what, run, isLast: true });
  }

  /**
   * Performs all undos, and continues after a failure. If one fails, the undos recorded by `pushLast` are not performed. Returns
   * `thrown` as an error whose details name the missing undos and the reasons.
   */
  async run(thrown: unknown): Promise<CniError> {
    const left: string[] = [];
    const reasons: string[] = [];
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) {
      try {
        if (!undo.isLast || left.length === 0) await undo.run();
        else left.push(undo.what);
      } catch (failure) {
        left.push(undo.what);
        reasons.push(asCniError(failure).sentence);
      }
    }
    const error = asCniError(thrown);
    if (left.length === 0) return error;
    const all = [...new Set(left)].join(", ");
    return error.withDetails(`could not ${all}, the next DEL will: ${reasons.join("; then: ")}`);
  }
}
