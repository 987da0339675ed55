import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Host, hostTest, STATE_FOLDER } from "../integration/host.ts";

/** Writes the completion script of a shell to a file of the host. */
async function script(host: Host, shell: string): Promise<string> {
  const { code, stdout } = await host.program(["completion", shell], "");
  assertEquals(code, 0);
  const path = `/run/completion.${shell}`;
  await host.run(["sh", "-c", `cat > ${path}`], stdout);
  return path;
}

hostTest("bash completes commands, options and networks", async (host) => {
  await host.sh(`cd ${STATE_FOLDER} && touch podnet.json podnet.lock '$(touch owned).json'`);
  const path = await script(host, "bash");
  const rows: [string, string][] = [
    ["li", "list"],
    ["st", "status"],
    ["list --wa", "--watch"],
    ["list --wi", "--wide"],
    ["version --o", "--output"],
    ["list pod", "podnet"],
    ["status --m", "--metrics"],
    ["completion z", "zsh"],
    ["help doc", "doctor"],
    ["version pod", ""],
    ["list z", ""],
    ["completion pod", ""],
  ];
  for (const [typed, expected] of rows) {
    const words = ["atomicni", ...typed.split(" ")].map((word) => `'${word}'`).join(" ");
    const { stdout, stderr } = await host.run([
      "bash",
      "-c",
      `cd ${STATE_FOLDER}; . ${path}; COMP_WORDS=(${words}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
       _atomicni; echo "\${COMPREPLY[*]}"`,
    ]);
    assertEquals([stdout.trim(), stderr], [expected, ""], typed);
  }
  assertEquals(await host.files(), ["./$(touch owned).json", "./podnet.json", "./podnet.lock"]);
});

hostTest("fish completes commands and networks", async (host) => {
  await host.sh(`touch ${STATE_FOLDER}/podnet.json`);
  const path = await script(host, "fish");
  const rows: [string, string][] = [
    ["expl", "explain"],
    ["list pod", "podnet"],
    ["completion z", "zsh"],
    ["list --wat", "--watch"],
    ["list --wid", "--wide"],
  ];
  for (const [typed, expected] of rows) {
    const { stdout, stderr } = await host.run(
      ["fish", "--no-config", "-c", `source ${path}; complete -C 'atomicni ${typed}'`],
      "",
      { HOME: "/run", PATH: Deno.env.get("PATH") ?? "" },
    );
    assertEquals([stdout.split("\t")[0]?.trim(), stderr], [expected, ""], typed);
  }
});

hostTest("zsh loads its script, which completes the commands", async (host) => {
  const path = await script(host, "zsh");
  const { code, stderr } = await host.run(["zsh", "-f", "-n", path]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  // zsh's completion functions are replaced by functions that print the offered words.
  const { stdout } = await host.run([
    "zsh",
    "-fc",
    `compdef() { }; compadd() { shift; print -l -- $@ }; _describe() { print -l -- $commands }
     . ${path}; CURRENT=2; words=(atomicni ""); _atomicni; CURRENT=3; words=(atomicni list ""); _atomicni`,
  ]);
  assertStringIncludes(stdout, "explain:describes an address");
  assertStringIncludes(stdout, "--watch");
  assertStringIncludes(stdout, "--wide");
});

hostTest("a shell without completion is refused with the supported shells", async (host) => {
  const rows: [string[], string][] = [
    [["bsh"], 'did you mean "bash"?'],
    [["zhs"], 'did you mean "zsh"?'],
    [["powershell"], "one of bash, zsh, fish"],
    [["constructor"], "one of bash, zsh, fish"],
    [[], "one of bash, zsh, fish"],
  ];
  for (const [args, remedy] of rows) {
    const { code, stdout, stderr } = await host.program(["completion", ...args], "");
    assertEquals([code, stdout], [2, ""], args.join());
    assertStringIncludes(stderr, remedy);
  }
});
