interface Attachment {
  add?: "begun" | "done" | "failed";
  address?: string;
  del?: "begun" | "done" | "failed";
}

/** The leases that the state must have, and must not have, if the power fails at that moment. */
export interface Expected {
  readonly held: ReadonlyMap<string, string>;
  readonly gone: ReadonlySet<string>;
}

/** The answers that a runtime got for its attachments, read from the console. */
export class History {
  readonly #attachments = new Map<string, Attachment>();
  /** Faults seen before the cut. */
  readonly faults: string[] = [];
  commands = 0;

  /** Whether the line belongs to a storm. */
  take(line: string): boolean {
    const [, when, command, id = "", code, address = ""] =
      /^@ (begin|end) (ADD|CHECK|DEL) (\S+) ?(\d*) ?(\S*)/.exec(line) ?? [];
    if (when === undefined) return false;
    const attachment = this.#attachments.get(id) ?? {};
    this.#attachments.set(id, attachment);
    const outcome = when === "begin" ? "begun" : code === "0" ? "done" : "failed";
    if (outcome === "failed") this.faults.push(`${command} of ${id} failed: ${line}`);
    if (outcome !== "begun") this.commands++;
    if (command === "DEL") attachment.del = outcome;
    if (command !== "ADD") return true;
    if (outcome === "done") this.#allocated(id, address);
    attachment.add = outcome;
    attachment.address = address;
    return true;
  }

  /** After a cut all containers are dead, whatever leases exist. */
  expected(): Expected {
    const held = new Map<string, string>();
    const gone = new Set<string>();
    for (const [id, { add, address = "", del }] of this.#attachments) {
      if (add === "done" && del === undefined) held.set(id, address);
      if (del === "done" || (add === "failed" && del === undefined)) gone.add(id);
    }
    return { held, gone };
  }

  #allocated(id: string, address: string): void {
    if (address === "") this.faults.push(`${id} got no address`);
    for (const [other, { add, del, address: taken }] of this.#attachments) {
      if (add === "done" && del === undefined && taken === address) {
        this.faults.push(`${address} was allocated to ${id} while ${other} had it`);
      }
    }
  }
}

/** The faults of a state file after a cut. None if it is the file before or after the interrupted write. */
export function faultsOf(text: string | undefined, { held, gone }: Expected): string[] {
  if (text === undefined) return held.size > 0 ? [`no state file, ${held.size} leases`] : [];
  let leases: Map<string, string>;
  try {
    leases = leasesOf(text);
  } catch {
    const begin = text.startsWith("\0") ? "NULs" : JSON.stringify(text.slice(0, 40));
    return [`unreadable: ${text.length} bytes, ${begin}`];
  }
  const faults: string[] = [];
  for (const [id, address] of held) {
    const found = leases.get(id);
    if (found !== address) faults.push(`${id} got ${address}, the state has ${found}`);
  }
  for (const id of leases.keys()) {
    if (gone.has(id)) faults.push(`${id} has its lease again after its DEL`);
  }
  const addresses = [...leases.values()];
  if (new Set(addresses).size !== addresses.length) faults.push(`twice in the state: ${addresses}`);
  return faults;
}

function leasesOf(text: string): Map<string, string> {
  const { containerToIP } = JSON.parse(text) as {
    containerToIP: Record<string, string | string[]>;
  };
  return new Map(
    Object.entries(containerToIP).map((
      [owner, address],
    ) => [owner.replace(/\/eth0$/, ""), [address].flat()[0] ?? ""]),
  );
}
