import { assertEquals } from "@std/assert";
import { cniEnv, CONFIG, hostTest } from "./host.ts";

/** Shell that runs the program given as its arguments, whose stdout takes nothing. */
const UNREADABLE = {
  "a full device": 'exec "$@" > /dev/full',
  "a pipe without a reader":
    'mkfifo /run/pipe; sleep 60 < /run/pipe & exec 9> /run/pipe; kill $!; wait $!; exec "$@" >&9',
};

for (const [what, script] of Object.entries(UNREADABLE)) {
  hostTest(`a document that nobody gets is a failure: ${what}`, async (host) => {
    // VERSION has a document of success, CHECK of a failure. ADD is in tests/audit.
    for (const command of ["VERSION", "CHECK"]) {
      await host.sh("rm -f /run/pipe");
      const env = { ...cniEnv(command, {}), PATH: "/usr/bin:/usr/sbin" };
      const under = ["sh", "-c", script, "sh"];
      const { code, stdout } = await host.program([], JSON.stringify(CONFIG), env, under);
      assertEquals([code, stdout], [1, ""], command);
    }
  });
}
