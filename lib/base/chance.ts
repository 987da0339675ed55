/**
 * Random bytes for what must differ from run to run and be no secret: V8 draws its seed from the kernel. Not by `crypto`,
 * whose first use takes a process a seventh of a millisecond.
 */
export function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: count }, () => Math.random() * 256);
}
