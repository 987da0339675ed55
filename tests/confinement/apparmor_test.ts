import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { type Host, hostTest, type Json, run } from "../integration/host.ts";
import { type Event, eventsIn, SYSCALLS } from "../audit/trace.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
/** The place where `tools/install` puts a build. */
const INSTALLED = "/opt/cni/bin/.atomicni-0123456789abcdef";
const FORMS = [["compiled", "bin/atomicni"], ["script", "bin/atomicni.js"]] as const;

/** Both families and the guard, so that the plugin uses all its accesses. */
async function fullConfig(): Promise<Json> {
  const text = await Deno.readTextFile(`${ROOT}deploy/10-atomicni.conflist`);
  const { name, plugins: [plugin] } = JSON.parse(text);
  return { cniVersion: "1.1.0", name, ...plugin };
}

interface Rule {
  readonly by: "atomicni" | "ip";
  readonly path: RegExp;
  readonly permissions: string;
}

/** The file rules of a profile, with the part of the profile that contains each. */
function rulesOf(text: string): Rule[] {
  let by: Rule["by"] = "atomicni";
  const deno = /^@\{deno\} = (.*)$/m.exec(text)?.[1]?.split(" ") ?? [];
  return text.split("\n").flatMap((line) => {
    if (/^\s+profile ip /.test(line)) by = "ip";
    const [, path = "", permissions = ""] = /^\s+([/@]\S*) (\w+)(?: -> ip)?,$/.exec(line) ?? [];
    const paths = path === "@{deno}" ? deno : path === "" ? [] : [path];
    return paths.map((it) => ({ by, path: globOf(it), permissions }));
  });
}

/** A file's name as AppArmor writes it: `*` within a folder, `**` across folders, `{a,b}`, @{pid}. */
function globOf(glob: string): RegExp {
  const text = glob.replaceAll("@{pid}", "{self,thread-self,[0-9]*}").replaceAll(".", "\\.")
    .replaceAll("**", "\0").replaceAll("*", "[^/]*").replaceAll("\0", ".*")
    .replaceAll("{", "(").replaceAll("}", ")").replaceAll(",", "|");
  return new RegExp(`^${text}$`);
}

/** A trace shows a folder without its final slash, a profile has one: both are tried. */
const PERMISSION: Partial<Record<Event["kind"], RegExp>> = {
  read: /r/,
  write: /w/,
  run: /x/,
};

/** The accesses to files. The built file has the name of its installed place. */
async function traced(host: Host, file: string, command: string, config: Json): Promise<Event[]> {
  const folder = await Deno.makeTempDir({ prefix: "atomicni-apparmor-" });
  try {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/c1",
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
    };
    const strace = ["strace", "-ff", "-y", "-s", "4096", "-e", `trace=${SYSCALLS}`];
    const { code, stdout } = await host.run(
      [...strace, "-o", `${folder}/t`, file],
      JSON.stringify(config),
      env,
    );
    assertEquals(code, 0, stdout);
    return eventsIn(folder, file);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The accesses that no rule of the profile allows. */
function outside(events: readonly Event[], rules: readonly Rule[], file: string): string[] {
  return events.filter((it) => !it.refused && it.what.startsWith("/")).filter(
    ({ by, kind, what }) => {
      const wanted = PERMISSION[kind];
      const at = /\/ip$/.test(by) ? "ip" : "atomicni";
      const path = what.replace(file, INSTALLED);
      // The profile begins when a runtime executes the file; no rule applies before.
      if (kind === "run" && path === INSTALLED) return false;
      return wanted !== undefined &&
        !rules.some((rule) =>
          rule.by === at && wanted.test(rule.permissions) &&
          [path, `${path}/`].some((it) => rule.path.test(it))
        );
    },
  ).map(({ by, kind, what }) => `${by}: ${kind} ${what}`);
}

for (const [form, path] of FORMS) {
  const profile = `${ROOT}deploy/confinement/apparmor-${form}`;

  Deno.test(`apparmor-${form}: the parser accepts it`, async () => {
    const { code, stderr } = await run(["apparmor_parser", "-Q", "-K", profile]);
    assertEquals(code, 0, stderr);
  });

  hostTest(
    `apparmor-${form}: allows all files that the plugin and ip open and run`,
    async (host) => {
      const file = `${ROOT}${path}`;
      const rules = rulesOf(await Deno.readTextFile(profile));
      assert(rules.length > 20, `only ${rules.length} rules`);
      await host.containers("c1");
      const events: Event[] = [];
      const config = await fullConfig();
      for (const command of ["ADD", "STATUS", "GC", "DEL"]) {
        events.push(...await traced(host, file, command, config));
      }
      assert(events.length > 100, `only ${events.length} events`);
      assertEquals([...new Set(outside(events, rules, file))], []);
      // Without any one of its rules, the profile has to fail this test.
      const lacking = rules.filter((it) => !it.path.test("/var/lib/atomicni/podnet.json"));
      assert(outside(events, lacking, file).some((it) => it.includes("podnet")));
    },
  );
}
