import { assert, assertEquals } from "@std/assert";
import { Host } from "../integration/host.ts";
import { advertiseRouter, flood, redirectBob, reuse, serveDhcp } from "./announcements.ts";
import { type Family, type Result, stoppers, TRIES } from "./attack.ts";
import {
  type Attack,
  forgeSource,
  iAmBob,
  iAmTheGateway,
  poseAsNeighbour,
  takeBridgesMac,
  takeNeighboursMac,
} from "./attacks.ts";
import { record } from "./outcome.ts";
import { Scene, type State } from "./scene.ts";
import { STATES } from "./states.ts";

/** In this order: what comes later leaves more behind. */
const ATTACKS: readonly Attack[] = [
  takeNeighboursMac,
  takeBridgesMac,
  poseAsNeighbour,
  iAmBob,
  iAmTheGateway,
  redirectBob,
  forgeSource,
  serveDhcp,
  reuse,
  advertiseRouter,
  flood,
];

/** An attack that nothing stops has to be seen to succeed: a matrix that finds nothing proves nothing. */
const SUCCESS = TRIES / 2;

function judge(state: State, { attack, stops, got, own: [came, sent] }: Result): string[] {
  const here = stoppers(state);
  const stopped = stops.some((it) => here.has(it));
  const wrong: string[] = [];
  if (stopped && got !== 0) wrong.push(`${attack}: ${got} got through`);
  if (!stopped && got < SUCCESS) wrong.push(`${attack}: only ${got} got through`);
  // Isolated containers have no way to each other, attack or not.
  const cut = state.isolated && stops.includes("isolation") && attack.includes("ann →");
  if (stopped && !attack.includes("isolation") && !cut && came !== sent) {
    wrong.push(`${attack}: ${came} of ${sent} of the victim's own frames came`);
  }
  return wrong;
}

for (const state of STATES) {
  Deno.test(`raw frames, ${state.name}`, async () => {
    await using host = await Host.create();
    await using scene = await Scene.create(host, state);
    const wrong: string[] = [];
    for (const attack of ATTACKS) {
      for (const family of [4, 6] satisfies Family[]) {
        for (const result of await attack(scene, family)) {
          const { got, own: [came, sent], effect } = result;
          record({
            attack: result.attack.includes("ARP") || result.attack.includes("NA ")
              ? result.attack
              : `IPv${family} ${result.attack}`,
            state: state.name,
            got: effect === undefined ? String(got) : `${got} (${effect})`,
            own: `${came}/${sent}`,
          });
          wrong.push(...judge(state, result));
        }
      }
    }
    assertEquals(wrong, []);
    assert(true);
  });
}
