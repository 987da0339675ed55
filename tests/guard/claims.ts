import { arpClaims, type Frame, ndClaims } from "./frames.ts";
import { newMark } from "./attack.ts";
import { NETWORK, type Scene } from "./scene.ts";

interface Addresses {
  readonly ip4: string;
  readonly ip6: string;
}

/** The host, as the containers know it. */
export const GATEWAY: Addresses = { ip4: NETWORK.gateway, ip6: NETWORK.gateway6 };

/** Eve's word that an address is hers, to `told`, in every form that a kernel might take. */
export function claims(
  scene: Scene,
  family: 4 | 6,
  claimed: Addresses,
  told: Addresses,
  to: string,
): Frame[] {
  const { mac: from, ip6: source } = scene.at("eve");
  const link = { from, to, at: from, mark: newMark("claim") };
  return family === 4
    ? arpClaims({ ...link, address: claimed.ip4, told: told.ip4 })
    : ndClaims({ ...link, address: claimed.ip6, told: told.ip6 }, source, claimed === GATEWAY);
}
