/** Waits for all, however they end; rejects with the first's error. Nothing is undone while one of them is at work. */
export async function together<T extends readonly unknown[]>(
  ...running: { readonly [K in keyof T]: Promise<T[K]> }
): Promise<T> {
  await Promise.allSettled(running);
  return await Promise.all(running) as unknown as T;
}
