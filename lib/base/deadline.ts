/**
 * Resolves after `ms`. Not by `setTimeout`, whose first use costs a process more than all else that a run does
 * before its first `ip`.
 */
export function expiry(ms: number): Promise<"expired"> {
  const { promise, resolve } = Promise.withResolvers<"expired">();
  AbortSignal.timeout(ms).addEventListener("abort", () => resolve("expired"));
  return promise;
}
