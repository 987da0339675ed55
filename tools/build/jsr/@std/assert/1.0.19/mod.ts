import * as untyped from "npm:deno-std@1.4.0/assert/mod.js";

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

export const AssertionError: ErrorClass<Error> = untyped.AssertionError;
export const assert: (expr: unknown, msg?: string) => asserts expr = untyped.assert;
export const assertEquals: <T>(actual: T, expected: T, msg?: string) => void = untyped.assertEquals;
export const assertNotEquals: <T>(actual: T, expected: T, msg?: string) => void =
  untyped.assertNotEquals;
export const assertMatch: (actual: string, expected: RegExp, msg?: string) => void =
  untyped.assertMatch;
export const assertNotMatch: (actual: string, expected: RegExp, msg?: string) => void =
  untyped.assertNotMatch;
export const assertStringIncludes: (actual: string, expected: string, msg?: string) => void =
  untyped.assertStringIncludes;
export const assertThrows: <E extends Error = Error>(
  fn: () => unknown,
  errorClass?: ErrorClass<E>,
  msgIncludes?: string,
) => E = untyped.assertThrows;
export const assertRejects: <E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass?: ErrorClass<E>,
  msgIncludes?: string,
) => Promise<E> = untyped.assertRejects;
export const assertInstanceOf: <T>(
  actual: unknown,
  // deno-lint-ignore no-explicit-any
  expectedType: abstract new (...args: any[]) => T,
  msg?: string,
) => asserts actual is T = untyped.assertInstanceOf;
export const fail: (msg?: string) => never = untyped.fail;
