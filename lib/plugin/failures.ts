import { asCniError, type CniError } from "../base/errors.ts";

/** Collects the errors of steps, so that the next step runs after a failure. */
export class Failures {
  readonly errors: CniError[] = [];

  async attempt<T>(step: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await step();
    } catch (error) {
      this.add(error);
      return undefined;
    }
  }

  add(error: unknown): void {
    this.errors.push(asCniError(error));
  }

  /** Throws the first error, if there is one. Its details have the other errors, and `done`: the steps that succeeded. */
  raise(done?: string): void {
    const [first, ...others] = this.errors;
    if (first === undefined) return;
    const all = others.reduce(
      (error, other) => error.withDetails(`then: ${other.sentence}`),
      first,
    );
    throw done === undefined ? all : all.withDetails(done);
  }
}
