import { assertEquals, assertMatch } from "@std/assert";
import { breakIp } from "../integration/broken_ip.ts";
import { cniEnv, CONFIG, hostTest, PROGRAM, STATE_FOLDER } from "../integration/host.ts";
import { recordFault } from "./fault.ts";

/** Changes by others between two steps of a run, and a signal before the run begins. */

const FILE = `${STATE_FOLDER}/podnet.json`;
const TRACED = ["strace", "-f", "-qq", "-o", "/dev/null", "-e"];

hostTest(
  "late: an older state put back while an ADD renames its file or syncs the folder is not its own",
  async (host) => {
    await host.containers("c1", "c2", "c3", "c4");
    await host.add({ id: "c1" });
    await host.sh(`cp -p ${FILE} /run/older`);
    await host.add({ id: "c2" });
    const ways = ["cp -p /run/older", "cp -p /run/older /run/copy; mv /run/copy"];
    const moments = ["rename,renameat,renameat2", "fsync"];
    const tries = moments.flatMap((moment) => ways.map((way) => [moment, way] as const));
    for (const [moment, way] of tries) {
      const before = await host.sh(`cat ${FILE}`);
      const under = [...TRACED, `inject=${moment}:delay_exit=400000`];
      const adding = host.cni("ADD", { id: "c3", under });
      await host.sh(`for _ in $(seq 2000); do
      [ "$(cat ${FILE})" = '${before.trimEnd()}' ] || break; sleep 0.002; done; ${way} ${FILE}`);
      assertEquals((await adding).code, 0);
      const { json } = await host.cni("ADD", { id: "c4" });
      assertEquals(json?.code, 104, `${moment}: ${way}`);
      assertMatch(json.msg, /"c2\/eth0" and 1 more hold an address, and have no lease/);
      await host.program(["repair"], JSON.stringify(CONFIG));
      await host.del({ id: "c3" });
    }
    recordFault({
      fault: "an older state file put back while an ADD renames its file or syncs the folder",
      tries: tries.length,
      outcome: "the next ADD: code 104 that names the container without a lease",
    });
  },
);

hostTest("late: an ip that exits 0 without output is not an empty list", async (host) => {
  await host.containers("c1", "c2", "c3");
  const config = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.3" } };
  for (const id of ["c1", "c2"]) await host.add({ id, config });
  const before = await host.state();
  await breakIp(host, 'case " $* " in *" link show type veth "*) exit 0 ;; esac');
  const { code, json } = await host.cni("ADD", { id: "c3", config });
  assertEquals([code, json?.code], [1, 100]);
  assertMatch(json.msg, /ip ended with exit status 0 and printed nothing/);
  assertEquals(await host.state(), before);
});

hostTest("late: a mark that can't be locked or looked at does not stay", async (host) => {
  await host.containers("c1");
  await host.add();
  await host.del();
  const before = await host.files();
  const { code, json } = await host.cni("ADD", {
    under: [...TRACED, "inject=flock:error=ENOLCK:when=1+"],
  });
  assertEquals([code, json?.code], [1, 5]);
  assertEquals(await host.files(), before);
  await host.assertNothingLeft();
});

for (const command of ["ADD", "DEL", "GC"]) {
  hostTest(`late: a signal ends the wait for stdin: ${command}`, async (host) => {
    await host.containers("c1");
    const child = new Deno.Command("nsenter", {
      args: [...host.inside(...PROGRAM).slice(1)],
      env: cniEnv(command, {}),
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode('{"cniVersion":'));
    await host.sh("sleep 0.5");
    // stdin stays open, so only the signal can end the run.
    child.kill("SIGTERM");
    const { code, stdout } = await child.output();
    await writer.abort().catch(() => {});
    const json = JSON.parse(new TextDecoder().decode(stdout));
    assertEquals([code, json.code], [1, 11]);
    assertMatch(json.msg, /ended by SIGTERM/);
    await host.assertNothingLeft();
  });
}
