/**
 * man.ts PROGRAM: prints atomicni(8) as roff, from the output of PROGRAM (`help`, `help --json`, `version --json`). If
 * the help lacks a part of the page, that is an error.
 */
interface Option {
  readonly name: string;
  readonly type: string;
  readonly about: string;
}

interface CommandHelp {
  readonly name: string;
  readonly takes: string;
  readonly about: string;
  readonly example: string;
  readonly options: readonly Option[];
}

const [program = ""] = Deno.args;

async function said(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) {
    throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
  return new TextDecoder().decode(stdout);
}

/** Escapes text for roff: no line becomes a request, and a dash stays the one that a shell accepts. */
function roff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^(?=[.'])/gm, "\\&");
}

function commandLines({ name, takes, about, example, options }: CommandHelp): string[] {
  return [
    ".TP",
    `.B ${roff([name, takes].filter((it) => it !== "").join(" "))}`,
    `${roff(about)}.`,
    ...options.flatMap((option) => [
      ".RS",
      ".TP",
      `.B \\-\\-${roff(option.name)}${
        option.type === "boolean" ? "" : ` ${option.type.toUpperCase()}`
      }`,
      roff(option.about),
      ".RE",
    ]),
    ".RS",
    ".PP",
    `Example: ${roff(example)}`,
    ".RE",
  ];
}

function exitStatus(help: string): string[] {
  const [, text = ""] = /Exit status: ([^]*?)\.$/m.exec(help) ?? [];
  const rows = [...text.replaceAll("\n", " ").matchAll(/(?:^|, )(\d+) ([^,]+)/g)];
  if (rows.length === 0) throw new Error("the help has no exit status");
  return rows.flatMap(([, status, meaning = ""]) => [".TP", `.B ${status}`, `${roff(meaning)}.`]);
}

const help = await said("help");
const commands: readonly CommandHelp[] = JSON.parse(await said("help", "--json"));
const { version, scope, specVersions } = JSON.parse(await said("version", "--json"));
const seconds = Number(Deno.env.get("SOURCE_DATE_EPOCH") ?? 0);
const date = new Date(seconds * 1000).toISOString().slice(0, 10);
const [folder = ""]: string[] = scope.write;
const lines = [
  `.TH ATOMICNI 8 "${date}" "atomicni ${version}" "System administration"`,
  ".SH NAME",
  "atomicni \\- CNI plugin: one veth into a host bridge, all or nothing",
  ".SH SYNOPSIS",
  ...commands.flatMap(({ name, takes }, index) => [
    ...(index > 0 ? [".br"] : []),
    `.B atomicni ${roff(name)}`,
    ...(takes === "" ? [] : [roff(takes)]),
  ]),
  ".SH DESCRIPTION",
  `A container runtime runs the program with CNI_COMMAND set and a configuration on stdin, as the Container Network ` +
  `Interface specification ${specVersions.at(0)} to ${
    specVersions.at(-1)
  } says; the program answers with one JSON document. ` +
  "Without CNI_COMMAND it has the commands below, for operators.",
  ".PP",
  "CONFIGURATION is the network's file in /etc/cni/net.d, as it is, on stdin.",
  ".SH COMMANDS",
  "Each command takes",
  ".B \\-\\-json",
  "for its output as one JSON value, and",
  ".B \\-\\-help.",
  ...commands.flatMap(commandLines),
  ".SH EXIT STATUS",
  ...exitStatus(help),
  ".SH ENVIRONMENT",
  "The program reads only these variables, which a runtime sets:",
  `${scope.env.join(", ")}.`,
  ".SH FILES",
  ".TP",
  `.I ${folder}/NETWORK.json`,
  `The addresses and their owners. The program reads and writes nothing outside of ${folder}, and runs only`,
  `${scope.run.at(0)} (or ${scope.run.slice(1).join(", ")}).`,
  ".TP",
  ".I /etc/atomicni/NETWORK.nft",
  "Rules of a network, made by atomicni host\\-rules and loaded by atomicni\\-rules@NETWORK.service.",
  ".SH SEE ALSO",
  ".BR ip (8),",
  ".BR nft (8),",
  ".BR systemd\\-tmpfiles (8)",
];
await Deno.stdout.write(new TextEncoder().encode(`${lines.join("\n")}\n`));
