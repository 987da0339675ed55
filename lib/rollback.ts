import { asCniError, type CniError } from "./base/errors.ts";

interface Undo {
  readonly what: string;
  readonly run: () => Promise<void>;
}

/**
 * What this run made, newest last; `run` takes it back newest first. Where one can't be taken back, what was recorded
 * before it stays too: an address must not be free while the veth that answers on it stands.
 */
export class Rollback {
  readonly #undos: Undo[] = [];

  /** Records how to take back what has just been made. `what` names it for whoever reads of a failed undo. */
  push(what: string, run: () => Promise<void>): void {
    this.#undos.push({ what, run });
  }

  /** Undoes everything; returns `thrown` as an error that also names what could not be undone. */
  async run(thrown: unknown): Promise<CniError> {
    const error = asCniError(thrown);
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) {
      try {
        await undo.run();
      } catch (failure) {
        const { message, details } = asCniError(failure);
        const why = details === "" ? message : `${message} (${details})`;
        const left = new Set([undo, ...this.#undos.reverse()].map(({ what }) => what));
        return error.withDetails(`could not ${[...left].join(", ")}, the next DEL will: ${why}`);
      }
    }
    return error;
  }
}
