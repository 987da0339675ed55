import { type Answer, CONFIG, type Json } from "../integration/host.ts";
import type { Complaint } from "./property.ts";
import { addressesOf, leasesOf, type World } from "./world.ts";

export const STATE_FILE = `./${CONFIG.name}.json`;

/** The facts about an attachment since its ADD. */
export interface AddedAttachment {
  readonly ip: string;
  readonly mac: string;
  readonly veth: string;
  /** "container ID/interface". */
  readonly owner: string;
  readonly index: number;
  readonly result: Json;
  readonly guarded: boolean;
}

/** Whether another attachment still has its lease, its host veth in the bridge, its address and its MAC. */
export function harmed(
  others: readonly AddedAttachment[],
  after: string,
  world: World,
  ended: Answer,
): Complaint | undefined {
  const leases = leasesOf(world.states.get(STATE_FILE));
  const bridge = world.links.find(({ ifname }) => ifname === CONFIG.bridge);
  for (const { owner, mac, veth, index, result, guarded } of others) {
    const given: string[] = result.ips.map(({ address }: Json) => address);
    const ips = given.map((it) => it.split("/")[0]);
    const wrong = (what: string) => said(`${after}: ${what}`, ended, world);
    if (leases.get(owner)?.join() !== ips.join()) {
      return wrong("the lease of another attachment is gone or moved");
    }
    const outer = world.links.find(({ ifname }) => ifname === veth);
    if (outer?.ifindex !== index) return wrong("the host veth of another attachment is gone");
    if (outer.master !== bridge?.ifname) {
      return wrong("the host veth of another is out of the bridge");
    }
    const inner = world.inside.get(owner.split("/")[0] ?? "")?.find((it) => it.ifname === "eth0");
    if (inner?.address !== mac) return wrong("another container has no eth0, or another MAC");
    if (addressesOf(inner).join() !== given.join()) {
      return wrong("another container's addresses changed");
    }
    const isKnown = (ip?: string) =>
      world.permanent.some((it) => it.dst === ip && it.dev === outer.master && it.lladdr === mac);
    if (guarded && !ips.every(isKnown)) return wrong("a guarded neighbour of another is gone");
  }
  return undefined;
}

function said(kind: string, answer: Answer | undefined, world: World): Complaint {
  const leases = Object.fromEntries(leasesOf(world.states.get(STATE_FILE)));
  const links = world.links.map(({ ifname, ifalias }) => `${ifname} (${ifalias ?? ""})`).join(", ");
  const ended = answer === undefined ? "" : `exit ${answer.code}: ${answer.stdout}${answer.stderr}`;
  return { kind, about: `${ended}\nleases: ${JSON.stringify(leases)}\nhost: ${links}` };
}
