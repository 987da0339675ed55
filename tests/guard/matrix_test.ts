import { assertEquals } from "@std/assert";
import { hostTest } from "../integration/host.ts";
import {
  advertiseRouter,
  flood,
  linkLocalClaim,
  redirectBob,
  reuse,
  serveDhcp,
} from "./announcements.ts";
import { type Family, type Result, stoppers, TRIES } from "./attack.ts";
import {
  type Attack,
  forgeSource,
  iAmBob,
  iAmTheGateway,
  poseAsNeighbour,
  takeBridgesMac,
  takeMacByLldp,
  takeNeighboursMac,
} from "./attacks.ts";
import { fromNobody, iAmTheBridge, reservedGroups } from "./ways.ts";
import { recordFinding } from "./finding.ts";
import { Scene, type State } from "./scene.ts";
import { STATES } from "./states.ts";

/** Ordered by side effects: later attacks leave more behind. */
const ATTACKS: readonly Attack[] = [
  takeNeighboursMac,
  takeMacByLldp,
  takeBridgesMac,
  poseAsNeighbour,
  iAmBob,
  linkLocalClaim,
  iAmTheGateway,
  iAmTheBridge,
  reservedGroups,
  redirectBob,
  forgeSource,
  fromNobody,
  serveDhcp,
  reuse,
  advertiseRouter,
  flood,
];

/** Frames that must get through in an attack without a matching protection; otherwise a zero elsewhere proves nothing. */
const SUCCESS = TRIES / 2;

function judge(state: State, { attack, stops, got, own: [came, sent], between }: Result): string[] {
  const here = stoppers(state);
  if (!stops.some((it) => here.has(it))) {
    return got < SUCCESS
      ? [`${attack}: no protection stops it here, but only ${got} got through`]
      : [];
  }
  const wrong = got === 0 ? [] : [`${attack}: ${got} got through`];
  const cut = between && state.isolated;
  if (came !== (cut ? 0 : sent)) {
    wrong.push(`${attack}: ${came} of ${sent} of the victim's own frames arrived`);
  }
  return wrong;
}

async function runAll(scene: Scene): Promise<string[]> {
  const wrong: string[] = [];
  for (const attack of ATTACKS) {
    for (const family of [4, 6] satisfies Family[]) {
      for (const result of await attack(scene, family)) {
        const { got, of = TRIES, own: [came, sent], effect } = result;
        recordFinding({
          attack: `IPv${family}: ${result.attack}`,
          state: scene.state.name,
          ...{ got, of, ...(effect !== undefined && { effect }) },
          own: `${came}/${sent}`,
        });
        wrong.push(...judge(scene.state, result));
      }
    }
  }
  return wrong;
}

for (const state of STATES) {
  hostTest(`raw frames: ${state.name}`, async (host) => {
    await using scene = await Scene.create(host, state);
    assertEquals(await runAll(scene), []);
  });
}
