import { Random } from "../random.ts";
import { SUITES } from "./root_node.ts";
import { Broken, type Setting } from "./life.ts";
import { PLAYS } from "./plays.ts";
import { seedOf } from "../seed.ts";
import { lifeTest } from "./tested_life.ts";

/** The settings of a run: the first seed, the number of lives, and the plays per life. */
const SEED = seedOf("KUBERNETES_SEED");
const LIVES = Number(Deno.env.get("KUBERNETES_LIVES") ?? 3);
const PLAYED = Number(Deno.env.get("KUBERNETES_PLAYS") ?? 5);
/** Seconds; on an idle machine a life of five plays takes a tenth of them. */
const LONGEST = 60 * PLAYED;
const STATED = Deno.env.get("KUBERNETES_SUITE");
/** Only plays with such a name, for a narrower search. */
const NAMED = new RegExp(Deno.env.get("KUBERNETES_PLAY") ?? "");

function setting(random: Random): Setting {
  const both = random.chance(0.6);
  const drawn: Setting = {
    suite: random.one(SUITES),
    uplink: random.one(["eth0", "ens3", "bond0.100"]),
    service: random.one(["127.0.0.1", "fd00:10:96::1"]),
    ranges: ["10.244.3.0/24", ...both ? ["fd00:10:244:3::/64"] : []],
  };
  const suite = SUITES.find((it) => it === STATED);
  return suite === undefined ? drawn : { ...drawn, suite };
}

for (let index = 0; index < LIVES; index++) {
  const seed = SEED + index;
  const random = new Random(seed);
  const history: string[] = [];
  lifeTest(`a node's life, seed ${seed}`, setting(random), async (life) => {
    try {
      history.push(`install on ${JSON.stringify(life.setting)}`);
      const began = performance.now();
      await life.apply();
      await life.installed();
      for (let count = 0; count < PLAYED; count++) {
        const { name, play } = random.one(
          PLAYS.filter(({ may, name }) => may(life) && NAMED.test(name)),
        );
        history.push(name);
        await play(life, random);
        await life.check();
        const seconds = Math.round((performance.now() - began) / 1000);
        history.push(`after ${seconds} s`);
        if (seconds > LONGEST) throw new Broken(`this life took longer than ${LONGEST} s`);
      }
    } catch (error) {
      if (error instanceof Error) error.message += `\n${history.join("; ")}`;
      throw error;
    }
  });
}
