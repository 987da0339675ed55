import { test } from "../both_errors.ts";
import { image, Life, type Setting } from "./life.ts";

/** Lines of each pod's log in the report of a failure. */
const LINES = 25;

/** A test on its own node; the report of a failure has the pods' logs. */
export function lifeTest(
  name: string,
  setting: Setting,
  body: (life: Life) => Promise<void>,
): void {
  test(name, async () => {
    await using life = await Life.begin(await folder(), setting);
    try {
      await body(life);
    } catch (error) {
      const logs = await Promise.all(life.kubelet.pods.map((it) => life.kubelet.said(it)));
      const ends = logs.map((it) => it.split("\n").slice(-LINES).join("\n"));
      if (error instanceof Error) error.message += `\n${ends.join("\n--\n")}`;
      throw error;
    }
  });
}

let made: Promise<string> | undefined;

/** The unpacked image, made once for all tests of a file. */
function folder(): Promise<string> {
  made ??= image();
  return made;
}

globalThis.addEventListener("unload", () => {
  made?.then((it) => Deno.removeSync(it, { recursive: true }));
});
