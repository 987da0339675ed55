import type { Host } from "../integration/host.ts";
import type { Limits } from "./limits.ts";
import type { Random } from "../random.ts";

/** A broken promise. Complaints of one `kind` most likely have the same cause. */
export interface Complaint {
  readonly kind: string;
  readonly about: string;
}

/** A statement that has to be true of every case. */
export interface Property<Case> {
  readonly name: string;
  readonly limits: Limits;
  generate(random: Random, index: number): Case;
  /**
   * Tries one case on a private host, and returns the complaints. The words of `under` start the program. A test of the
   * property itself puts a wrong program there.
   */
  complain(host: Host, it: Case, under: readonly string[]): Promise<Complaint | undefined>;
  /** The same case with a part removed, the largest parts first. */
  smaller(it: Case): Iterable<Case>;
  /** Counts of events without which a run would prove nothing. */
  readonly seen: Map<string, number>;
}

export function count(seen: Map<string, number>, what: string, more = 1): void {
  seen.set(what, (seen.get(what) ?? 0) + more);
}

/** A message without the parts that vary from case to case, so that complaints with one cause get one kind. */
export function kindOf(message: string): string {
  return message
    .replace(/\b(a[vp])?[0-9a-f]{13}\b/g, "VETH")
    .replace(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/gi, "MAC")
    .replace(/\d+\.\d+\.\d+\.\d+(\/\d+)?/g, "IP4")
    .replace(/\b[0-9a-f]*:[0-9a-f:]*:[0-9a-f]*(\/\d+)?/gi, "IP6")
    .replace(/"(\\.|[^"\\])*"/g, '"…"')
    .replace(/\bon [^ ,]+/g, "on IFNAME")
    .replace(/\d+/g, "N")
    .slice(0, 160);
}

/** `value` without one of its keys or elements, at any depth. */
export function* pruned(value: unknown): Iterable<unknown> {
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) yield value.filter((_, index) => index !== at);
    for (let at = 0; at < value.length; at++) {
      for (const it of pruned(value[at])) yield value.map((old, index) => index === at ? it : old);
    }
  } else if (typeof value === "object" && value !== null) {
    for (const key of Object.keys(value)) {
      const { [key]: _, ...rest } = value as Record<string, unknown>;
      yield rest;
    }
    for (const [key, inner] of Object.entries(value)) {
      for (const it of pruned(inner)) yield { ...value, [key]: it };
    }
  }
}
