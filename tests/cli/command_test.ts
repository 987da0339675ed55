import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import manifest from "../../deno.json" with { type: "json" };
import { nearest } from "../../lib/cli/wording.ts";
import { CONFIGURATION } from "../../lib/cli/codes.ts";
import { CONFIG, type Host, hostTest, PROGRAM, run, STATE_FOLDER } from "../integration/host.ts";

const ROOT = new URL("../../", import.meta.url);

hostTest(
  "without a command and arguments the program prints its version on stderr, as every plugin does",
  async (host) => {
    const { code, stdout, stderr } = await host.program([], "");
    assertEquals({ code, stdout, stderr }, {
      code: 0,
      stdout: "",
      stderr: `CNI atomicni plugin ${manifest.version}\n` +
        "CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n",
    });
  },
);

hostTest(
  "on a terminal without arguments the program shows help, in colours unless NO_COLOR is set",
  async (host) => {
    const line = (variable: string) => [
      "script",
      "-qec",
      `${variable} ${PROGRAM.join(" ")}`,
      "/dev/null",
    ];
    const env = { ...Deno.env.toObject(), CNI_COMMAND: "", TERM: "xterm" };
    delete (env as Record<string, string>)["NO_COLOR"];
    const uncoloured = await host.run(line("NO_COLOR=1"), "", env);
    assertStringIncludes(uncoloured.stdout, "atomicni list [NETWORK]");
    assert(!uncoloured.stdout.includes("\x1b"), JSON.stringify(uncoloured.stdout));
    const coloured = await host.run(line(""), "", env);
    assertStringIncludes(coloured.stdout, "\x1b[1m");
  },
);

hostTest(
  "each command has help with an example, JSON, and the same arguments in the README",
  async (host) => {
    const { code, stdout } = await host.program(["help", "--json"], "");
    assertEquals(code, 0);
    const commands: { name: string; takes: string; example: string }[] = JSON.parse(stdout);
    const readme = await Deno.readTextFile(new URL("README.md", ROOT));
    const examples = new Set(commands.map(({ example }) => example));
    assertEquals(examples.size, commands.length, "an example of its own");
    const overview = (await host.program(["help"], "")).stdout;
    assertStringIncludes(overview, `atomicni ${manifest.version}: a CNI plugin. `);
    const ofList = (await host.program(["list", "--help"], "")).stdout;
    assertStringIncludes(ofList, "-w, --watch            refresh");
    assertStringIncludes(ofList, "-n, --network VALUE    the same");
    for (const { name, takes, example } of commands) {
      const line = `atomicni ${name} ${takes}`.trim();
      assertStringIncludes(overview, `  ${line}\n`);
      assertStringIncludes(readme, `| \`${line.replaceAll("|", "\\|")}\` `);
      const help = await host.program([name, "--help"], "");
      assertEquals(help.code, 0);
      assertStringIncludes(help.stdout, `Example: ${example}`);
      assertMatch(help.stdout, /^atomicni [^<\n]*\[OPTIONS\](?: < [^<\n]+)?\n/);
      const rows = help.stdout.split("\n").filter((line) => /^ +(?:-\w, )?--/.test(line));
      const column = /^ +(?:-\w, )?--[\w-]+(?: VALUE)? {2,}\S/;
      assertEquals(rows.filter((line) => !column.test(line)), []);
      assertStringIncludes(example, `atomicni ${name}`);
      for (const option of ["-j, --json", "--wide", "-o, --output VALUE", "-h, --help"]) {
        assertStringIncludes(help.stdout, option);
      }
      assertEquals((await host.program(["help", name], "")).stdout, help.stdout);
    }
  },
);

hostTest("the commands that explain CONFIGURATION work", async (host) => {
  const [repair, find] = CONFIGURATION.map((line) =>
    /.*`(.*)`/.exec(line)?.[1]?.replace("/etc/cni/net.d", "/run/net.d") ?? ""
  );
  const conflist = await Deno.readTextFile(new URL("deploy/10-atomicni.conflist", ROOT));
  assertEquals(JSON.parse(conflist).plugins.length, 2);
  await host.run(
    ["sh", "-c", "mkdir /run/net.d && cat >/run/net.d/10-atomicni.conflist"],
    conflist,
  );
  await host.sh(
    "sed s/podnet/other/ /run/net.d/10-atomicni.conflist >/run/net.d/20-other.conflist",
  );
  assertEquals(await host.sh(find ?? ""), "/run/net.d/10-atomicni.conflist\n");
  await host.containers("c1");
  await host.add({ config: { ...CONFIG, subnet: "10.86.0.0/16" } });
  await host.sh(`: >${STATE_FOLDER}/podnet.json`);
  const command = `atomicni() { ${PROGRAM.join(" ")} "$@"; }; ${repair}`;
  assertStringIncludes(await host.sh(command), "Written: 1 lease.");
  assertEquals(await host.leases(), { "c1/eth0": "10.86.0.2" });
});

hostTest(
  "a wrong command line is refused with a suggestion",
  async (host) => {
    const rows: [string[], string][] = [
      [["lst"], 'did you mean "list"?'],
      [["docter"], 'did you mean "doctor"?'],
      [["frobnicate"], "commands: list,"],
      [["list", "--wach"], 'did you mean "--watch"?'],
      [["list", "a", "b"], "usage: atomicni list [NETWORK]"],
      [["lst", "--watch"], 'did you mean "list"?'],
      [["--verson"], 'did you mean "--version"?'],
      [["\x1b[31mred"], "commands: list,"],
    ];
    for (const [args, remedy] of rows) {
      const { code, stdout, stderr } = await host.program(args, "");
      assertEquals({ code, stdout }, { code: 2, stdout: "" }, args.join(" "));
      assertStringIncludes(stderr, remedy);
      assert(!stderr.includes("\x1b"), JSON.stringify(stderr));
      const json = await host.program([...args, "--json"], "");
      assertEquals(json.code, 2);
      assertStringIncludes(json.json.error.details, remedy);
    }
    for (const option of [["-o", "json"], ["-ojson"], ["--output=json"], ["-j"]]) {
      const { json } = await host.program(["lst", ...option], "");
      assertStringIncludes(json.error.details, 'did you mean "list"?', option.join(" "));
    }
  },
);

/** A copy of the program under test in a folder that every user may read. */
async function forEveryone(host: Host): Promise<string[]> {
  const cache = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
  await host.sh(`chmod 755 /run; mkdir /run/cache /run/source
    cp ${Deno.execPath()} /run/deno; chmod 755 /run/deno
    mount --bind ${ROOT.pathname} /run/source; mount --bind ${cache} /run/cache`);
  const built = Deno.env.get("ATOMICNI");
  if (built === undefined) {
    const args = PROGRAM.slice(1).map((arg) => arg.replace(ROOT.pathname, "/run/source/"));
    return ["env", "DENO_DIR=/run/cache", "/run/deno", ...args];
  }
  await host.sh(
    `sed '2s#n="/[^"]*"#n="/run/deno"#' ${
      new URL(built, ROOT).pathname
    } >/run/atomicni; chmod 755 /run/atomicni`,
  );
  return ["/run/atomicni"];
}

hostTest("an error says that the user is not root, and suggests no installation", async (host) => {
  await host.containers("c1");
  await host.add();
  const program = await forEveryone(host);
  const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const asNobody = async (...args: string[]) => {
    const env = { PATH: Deno.env.get("PATH") ?? "", JSR_URL: Deno.env.get("JSR_URL") ?? "" };
    return await host.run([...nobody, ...program, ...args], JSON.stringify(CONFIG), env);
  };
  for (const args of [["list"], ["status"], ["explain", "10.86.0.2"], ["doctor"], ["repair"]]) {
    const { code, stdout, stderr } = await asNobody(...args);
    const said = stdout + stderr;
    assertEquals(code, 2, said);
    assertStringIncludes(said, "run this as root", args.join(" "));
    assert(!/install|apk/.test(said), said);
  }
  // A code needs no state.
  const { code, stdout, stderr } = await asNobody("explain", "101");
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, "Code 101: ");
});

hostTest(
  "host-rules: the second SUBNET is wrong, and doctor's file is not its argument",
  async (host) => {
    const rows: [string[], string][] = [
      [["host-rules", "10.0.0.0/8", "10.0.0.0/33"], 'SUBNET "10.0.0.0/33"'],
      [["host-rules", "10.0.0.0/8", "fd00::1/64"], 'SUBNET "fd00::1/64"'],
      [["host-rules", ...Array(65).fill("10.0.0.0/8")], "usage: atomicni host-rules [SUBNET ...]"],
      [["doctor", "podnet"], "a configuration comes on stdin: atomicni doctor < "],
      [["version", "podnet"], "usage: atomicni version (more: atomicni version --help)"],
      [["help", "lst"], 'did you mean "list"?'],
    ];
    for (const [args, expected] of rows) {
      const { code, stdout, stderr } = await host.program(args, JSON.stringify(CONFIG));
      assertEquals([code, stdout], [2, ""], args.join(" "));
      assertStringIncludes(stderr, expected);
    }
  },
);

hostTest("version shows the build form, Deno, the commit and the scope", async (host) => {
  const { code, json } = await host.program(["version", "--json"], "");
  assertEquals(code, 0);
  const built = Deno.env.get("ATOMICNI") ?? "";
  const form = built === "" ? "source" : built.endsWith(".js") ? "script" : "compiled";
  assertEquals(json.form.split(",")[0], form);
  assertEquals(json.borrowedRuntime, json.form.includes("borrowed"));
  assertEquals(json.scope, manifest.permissions.plugin);
  assertEquals(json.beyondScope, []);
  if (built !== "") {
    const { stdout } = await run(["git", "describe", "--always", "--dirty"]);
    assertEquals(json.commit.replace("-dirty", ""), stdout.trim().replace("-dirty", ""));
  }
  const { stdout } = await host.program(["--version"], "");
  assertStringIncludes(stdout, `atomicni ${manifest.version}\n`);
  assertStringIncludes(stdout, manifest.permissions.plugin.run.join(", "));
});

Deno.test("the nearest word", () => {
  const words = ["list", "explain", "doctor", "status", "rangeStart", "gateway"];
  const rows: [string, string | undefined][] = [
    ["list", "list"],
    ["lsit", "list"],
    ["LIST", "list"],
    ["statsu", "status"],
    ["gatway", "gateway"],
    ["range_start", "rangeStart"],
    ["x", undefined],
    ["li", undefined],
    ["completely", undefined],
    ["", undefined],
  ];
  for (const [typed, expected] of rows) assertEquals(nearest(typed, words), expected, typed);
  assertEquals(nearest("last", ["list", "last", "lost"]), "last");
  assertEquals(nearest("doktor", ["docker", "doctor"]), "doctor");
});
