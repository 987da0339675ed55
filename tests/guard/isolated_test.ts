import { assert, assertEquals } from "@std/assert";
import { hostTest } from "../integration/host.ts";
import { TRIES } from "./attack.ts";
import { recordFinding } from "./finding.ts";
import { Scene } from "./scene.ts";
import { OURS } from "./states.ts";
import { byTheGateway } from "./ways.ts";

// A port that is isolated in the bridge reaches another through a host that forwards.
for (const state of OURS) {
  hostTest(`an isolated neighbour through the gateway: ${state.name}`, async (host) => {
    await using scene = await Scene.create(host, { ...state, isolated: true });
    for (const family of [4, 6] as const) {
      for (const { attack, got, own: [came, sent] } of await byTheGateway(scene, family)) {
        recordFinding({
          attack: `IPv${family}: ${attack}`,
          ...{ state: state.name, got, of: TRIES, own: `${came}/${sent}` },
        });
        assert(state.rules ? got === 0 : got >= TRIES / 2, `${got} got through`);
        assertEquals(came, sent);
      }
    }
  });
}
