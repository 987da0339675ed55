import { type Answer, CONFIG, type Json } from "../integration/host.ts";
import { answered } from "./invariants.ts";
import { CONTAINERS, HOSTILE, NETWORK } from "./layouts.ts";
import { type Complaint, kindOf } from "./property.ts";
import type { Step } from "./scenario.ts";
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
  const bridge = world.links.find(({ ifname }) => ifname === NETWORK.bridge);
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

/** A failed run for a container that changed nothing, or a report about it that is wrong. */
export function misled(
  others: readonly AddedAttachment[],
  { does, who }: Step,
  answer: Answer,
): Complaint | undefined {
  const about = answered(answer);
  const { code, msg = "" } = answer.json ?? {};
  const isFor = who !== HOSTILE && does !== "add net1";
  const isAttached = others.some(({ owner }) => owner === `${CONTAINERS[who]}/eth0`);
  if (does === "check" && isAttached && answer.code !== 0) {
    return { kind: `a CHECK of another fails: ${code} ${kindOf(msg)}`, about };
  }
  if (does === "add" && isFor && answer.code !== 0 && code !== 101 && code !== 103) {
    return { kind: `an ADD of another fails: ${code} ${kindOf(msg)}`, about };
  }
  if (/^(del|gc)/.test(does) && answer.code !== 0) {
    return { kind: `a ${does.toUpperCase()} fails: ${code} ${kindOf(msg)}`, about };
  }
  if (does.startsWith("repair") && answer.code === 2) {
    return { kind: `${does} is refused because of one container`, about };
  }
  const dropped: Json[] = does.startsWith("repair") ? answer.json?.dropped ?? [] : [];
  if (dropped.some((it) => others.some(({ owner }) => owner === it.owner))) {
    return { kind: `${does} reports another attachment as dead`, about };
  }
  const isTrue = ({ owner, ip, veth }: AddedAttachment) => {
    const rows: Json[] = (answer.json?.attachments ?? []).filter((it: Json) =>
      `${it.containerId}/${it.ifname}` === owner
    );
    const shown = [rows[0]?.addresses ?? rows[0]?.address].flat()[0];
    return rows.length === 1 && rows[0].live === true && shown === ip && rows[0].veth === veth;
  };
  if (does !== "list" || !isFor || others.every(isTrue)) return undefined;
  return { kind: "list says something else of another attachment", about };
}

export function said(kind: string, answer: Answer | undefined, world: World): Complaint {
  const leases = Object.fromEntries(leasesOf(world.states.get(STATE_FILE)));
  const links = world.links.map(({ ifname, ifalias }) => `${ifname} (${ifalias ?? ""})`).join(", ");
  const ended = answer === undefined ? "" : `exit ${answer.code}: ${answer.stdout}${answer.stderr}`;
  return { kind, about: `${ended}\nleases: ${JSON.stringify(leases)}\nhost: ${links}` };
}
