import { assertEquals } from "@std/assert";
import { cniEnv, CONFIG, hostTest } from "./host.ts";

/** Shell that runs the program given as its arguments, with a stdout that accepts nothing. */
const UNREADABLE = {
  "a full device": 'exec "$@" > /dev/full',
  "a pipe without a reader":
    'mkfifo /run/pipe; sleep 60 < /run/pipe & exec 9> /run/pipe; kill $!; wait $!; exec "$@" >&9',
};

for (const [what, script] of Object.entries(UNREADABLE)) {
  hostTest(`a document that can't be written is a failure: ${what}`, async (host) => {
    // VERSION prints a document of success, CHECK one of failure. ADD is tested in tests/audit.
    for (const command of ["VERSION", "CHECK"]) {
      await host.sh("rm -f /run/pipe");
      const env = { ...cniEnv(command, {}), PATH: "/usr/bin:/usr/sbin" };
      const under = ["sh", "-c", script, "sh"];
      const { code, stdout } = await host.program([], JSON.stringify(CONFIG), env, under);
      assertEquals([code, stdout], [1, ""], command);
    }
  });
}
