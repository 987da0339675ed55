/**
 * Random bytes that differ from run to run and need not be secret: V8 takes its seed from the kernel. The first use of
 * `crypto` would take 0.14 ms.
 */
export function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: count }, () => Math.random() * 256);
}
