import { arpClaims, type Frame, ndClaims } from "./frames.ts";
import { newMark } from "./attack.ts";
import { NETWORK, type Scene } from "./scene.ts";

interface Addresses {
  readonly ip4: string;
  readonly ip6: string;
}

/** The addresses of the host on the bridge. */
export const GATEWAY: Addresses = { ip4: NETWORK.gateway, ip6: NETWORK.gateway6 };

/** Frames in which eve claims an address towards `receiver`, in every form that a kernel may accept. */
export function claims(
  scene: Scene,
  family: 4 | 6,
  claimed: Addresses,
  receiver: Addresses,
  to: string,
): Frame[] {
  const { mac: from, ip6: source } = scene.at("eve");
  const link = { from, to, at: from, mark: newMark("claim") };
  return family === 4
    ? arpClaims({ ...link, address: claimed.ip4, receiver: receiver.ip4 })
    : ndClaims(
      { ...link, address: claimed.ip6, receiver: receiver.ip6 },
      source,
      claimed === GATEWAY,
    );
}
