/**
 * Resolves after `ms`, but does not keep the process alive (`pause` does). The first use of `setTimeout` takes a fifth of
 * an ADD, and the first use of `AbortSignal.timeout` a hundredth.
 */
export function expiry(ms: number): Promise<"expired"> {
  const never = new Int32Array(new SharedArrayBuffer(4));
  const waiting = Atomics.waitAsync(never, 0, 0, ms);
  return Promise.resolve(waiting.value).then(() => "expired");
}

/** Waits `ms`. */
export function pause(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  AbortSignal.timeout(ms).addEventListener("abort", () => resolve());
  return promise;
}
