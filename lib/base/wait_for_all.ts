/** Waits until all have ended, then rejects with the first error. So no rollback starts while one of them is in progress. */
export async function waitForAll<T extends readonly unknown[]>(
  ...running: { readonly [K in keyof T]: Promise<T[K]> }
): Promise<T> {
  await Promise.allSettled(running);
  return await Promise.all(running) as unknown as T;
}
