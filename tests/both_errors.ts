/**
 * A test's body that, if it fails and then a disposal fails too, throws an error with both messages. Deno prints only
 * "An error was suppressed during disposal".
 */
export function bothErrors<A extends unknown[]>(
  body: (...args: A) => Promise<void>,
): (...args: A) => Promise<void> {
  return async (...args) => {
    try {
      await body(...args);
    } catch (error) {
      throw spelledOut(error);
    }
  };
}

/** The error, or for a SuppressedError one error with the texts of all. */
function spelledOut(error: unknown): unknown {
  if (!(error instanceof SuppressedError)) return error;
  const [first, second] = [spelledOut(error.suppressed), spelledOut(error.error)];
  return new Error(`${textOf(first)}\nand then, during disposal: ${textOf(second)}`);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

type Body = (context: Deno.TestContext) => Promise<void>;

/** `Deno.test` for a body that disposes of something: see `bothErrors`. */
export function test(what: string, body: Body): void;
export function test(what: Omit<Deno.TestDefinition, "fn">, body: Body): void;
export function test(what: Omit<Deno.TestDefinition, "fn"> & { readonly fn: Body }): void;
export function test(
  what: string | Omit<Deno.TestDefinition, "fn"> & { readonly fn?: Body },
  body?: Body,
): void {
  const { fn = body, ...rest } = typeof what === "string" ? { name: what, fn: body } : what;
  if (fn === undefined) throw new Error(`The test "${rest.name}" has no body`);
  Deno.test({ ...rest, fn: bothErrors(fn) });
}
