import { asCniError, type CniError } from "../base/errors.ts";

/** Errors of steps that don't keep the next from being tried. */
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

  hasMore(than: number): boolean {
    return this.errors.length > than;
  }

  /** Throws the first, with what the others said and what was done all the same in its details. */
  raise(done?: string): void {
    const [first, ...others] = this.errors;
    if (first === undefined) return;
    const all = others.reduce(
      (error, other) => error.withDetails(`then: ${other.message} (${other.details})`),
      first,
    );
    throw done === undefined ? all : all.withDetails(done);
  }
}
