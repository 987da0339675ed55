/**
 * Resolves after `ms`, beside something else that is waited for: alone it keeps no process alive (`pause` does). Not by
 * `setTimeout`, whose first use costs a process more than all else that a run does before its first `ip`, nor by
 * `AbortSignal.timeout`, whose first use costs some of that.
 */
export function expiry(ms: number): Promise<"expired"> {
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  const waiting = Atomics.waitAsync(nobody, 0, 0, ms);
  return Promise.resolve(waiting.value).then(() => "expired");
}

/** Waits `ms`. */
export function pause(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  AbortSignal.timeout(ms).addEventListener("abort", () => resolve());
  return promise;
}
