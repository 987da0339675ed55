/** A finding about an attachment that repair can't verify or that is wrong. */
export interface RepairFinding {
  /** With `unverified` the state is not written, because an address might be allocated twice. */
  readonly level: "unverified" | "wrong" | "note";
  readonly found: string;
  readonly remedy?: string;
}

export function unverified(found: string, remedy: string): RepairFinding {
  return { level: "unverified", found, remedy };
}

export function wrong(found: string, remedy: string): RepairFinding {
  return { level: "wrong", found, remedy };
}
