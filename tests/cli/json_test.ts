import { assert, assertEquals } from "@std/assert";
import { METRICS } from "../../lib/cli/status.ts";
import { STATE_WORDS } from "../../lib/cli/state_words.ts";
import { CONFIG, type Host, hostTest, type Json, STATE_FOLDER } from "../integration/host.ts";
import { container, hide } from "./containers.ts";

const DOCS = new URL("../../docs/", import.meta.url);
const JSON_PAGE = Deno.readTextFileSync(new URL("json.md", DOCS));
const MONITORING = Deno.readTextFileSync(new URL("monitoring.md", DOCS));
const POD = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web";
/** A dual-stack configuration. The size of its IPv6 range is too large for a double. */
const DUAL = {
  ...CONFIG,
  subnet6: "fd00:10:86::/64",
  gateway6: "fd00:10:86::1",
  macspoofchk: true,
};

/** The cells of the tables under a heading of a page. */
function tableUnder(page: string, heading: string): string[][] {
  const section = page.split(/^## /m).find((it) => it.startsWith(`${heading}\n`));
  assert(section !== undefined, `no section "${heading}"`);
  const rows = section.split("\n").filter((line) => line.startsWith("|")).map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim())
  );
  return rows.slice(2);
}

/** The type of each field that a page names, by its path. */
function fieldsUnder(...headings: string[]): Map<string, string> {
  return new Map(
    headings.flatMap((heading) =>
      tableUnder(JSON_PAGE, heading).flatMap(([names = "", type = ""]) =>
        [...names.matchAll(/`([^`]+)`/g)].map(([, path = ""]): [string, string] => [path, type])
      )
    ),
  );
}

/** Every value of a document by its path, without array indices. */
function leaves(value: Json, path = ""): [string, Json][] {
  if (Array.isArray(value)) return value.flatMap((it) => leaves(it, `${path}[]`));
  if (typeof value !== "object" || value === null) return [[path, value]];
  return Object.entries(value).flatMap(([key, below]) => {
    const name = Object.hasOwn(STATE_WORDS, key) && path.endsWith("attachments") ? "STATE" : key;
    return leaves(below, path === "" ? name : `${path}.${name}`);
  });
}

const IS: Readonly<Record<string, (value: Json) => boolean>> = {
  string: (it) => typeof it === "string",
  boolean: (it) => typeof it === "boolean",
  number: (it) => Number.isSafeInteger(it),
  time: (it) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(it),
  "number or string": (it) => Number.isSafeInteger(it) || /^\d{16,}$/.test(it),
};

/** Asserts that the documents have only fields of the page with those types, and together have all of them. */
function assertShape(fields: ReadonlyMap<string, string>, documents: readonly Json[]): void {
  const seen = new Set<string>();
  for (const document of documents) {
    const found = leaves(document);
    for (const [path, value] of found) {
      const type = fields.get(path);
      assert(type !== undefined, `the page lacks ${path}: ${JSON.stringify(value)}`);
      assert(
        IS[type.replace("?", "")]?.(value),
        `${path} is not a ${type}: ${JSON.stringify(value)}`,
      );
      seen.add(path);
    }
    for (const [path, type] of fields) {
      const isTop = !path.includes("[]");
      const isThere = found.some(([it]) => it === path);
      assert(!isTop || type.endsWith("?") || isThere, `${path} is missing`);
    }
  }
  const never = [...fields.keys()].filter((path) => !seen.has(path));
  assertEquals(never, [], "no command printed these");
}

/** The JSON output of each command. */
async function printed(host: Host, ...commands: readonly (readonly string[])[]): Promise<Json[]> {
  const found: Json[] = [];
  for (const args of commands) found.push((await host.program([...args, "--json"], "")).json);
  return found;
}

/** Creates guarded and stale attachments, and a lease of the Go original. */
async function addAttachments(host: Host): Promise<void> {
  await host.containers("c1", "c2");
  await host.add({ id: "c1", args: POD, config: DUAL });
  await host.sh(`mkdir ${STATE_FOLDER}/sub; cat > ${STATE_FOLDER}/old.json <<'E'
{"lastReserved":"","containerToIP":{"x":"10.22.0.2"},"ipToContainer":{"10.22.0.2":"x"}}
E`);
}

hostTest(
  "docs/json.md: list, explain and status print the fields of the page",
  async (host) => {
    await addAttachments(host);
    const whole = await printed(host, ["list"], ["explain", "web"], ["status"], ["explain", "101"]);
    await host.sh(`printf x > ${STATE_FOLDER}/sub/broken.json`);
    const broken = await printed(host, ["list"], ["explain", "web"], ["status"]);
    const of = (index: number) => [whole[index], broken[index]].filter((it) => it !== undefined);
    const list = fieldsUnder("`list`");
    const errors = new Map([...list].filter(([path]) => path.startsWith("errors")));
    assertShape(list, of(0));
    assertShape(new Map([...list, ...fieldsUnder("`explain`")]), [...of(1), whole[3]]);
    assertShape(new Map([...errors, ...fieldsUnder("`status`")]), of(2));
    const sizes = whole[2].networks.map(({ size }: Json) => size);
    // 2^64 minus the gateway and the subnet-router anycast address.
    assertEquals(sizes, [undefined, 253, "18446744073709551614"]);
  },
);

hostTest(
  "docs/json.md: doctor, repair, import and the others print the fields of the page",
  async (host) => {
    await addAttachments(host);
    const report = async (command: string, stdin: string, ...args: string[]) =>
      (await host.program([command, ...args, "--json"], stdin)).json;
    const config = JSON.stringify(DUAL);
    const doctor = [await report("doctor", config), await report("doctor", "{\n x")];
    assert(doctor.every(({ errors }) => typeof errors === "number"));
    await host.sh(
      `printf x > ${STATE_FOLDER}/podnet.lock.txt; mkdir /run/ns; rm -r /run/netns/none || :`,
    );
    doctor.push(await report("doctor", JSON.stringify({ ...DUAL, gateway: "x" })));
    assertShape(fieldsUnder("`doctor`"), doctor);

    const rules = await report("host-rules", config);
    const script = await report("completion", "", "bash");
    const usage = await report("lst", "");
    const failed = await report("repair", "");
    const others = fieldsUnder("`host-rules`, `completion`, and errors");
    const part = (...names: string[]) =>
      new Map([...others].filter(([path]) => names.includes(path)));
    assertShape(part("rules"), [rules]);
    assertShape(part("shell", "script"), [script]);
    assertShape(part("error.code", "error.msg", "error.details"), [usage, failed]);

    const program = fieldsUnder("`version` and `help`");
    const isHelp = (path: string) => /^(name|takes|about|example|options\b)/.test(path);
    const version = new Map([...program].filter(([path]) => !isHelp(path)));
    const own = await report("version", "");
    // The built forms have no further permissions; the source form, which tests may run, has.
    version.delete("beyondScope[]");
    assertShape(version, [{ ...own, beyondScope: [] }]);
    const commands = await report("help", "");
    const help = new Map([...program].filter(([path]) => isHelp(path)));
    assertShape(help, commands);
    for (const { name } of commands) {
      assertShape(help, [await report("help", "", name), await report(name, "", "--help")]);
    }
  },
);

hostTest("docs/json.md: repair and import print the fields of the page", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c1" });
  const { interfaces: [, { name }] } = await host.add({ id: "c2" });
  const report = async (command: string, stdin: string) =>
    (await host.program([command, "--json"], stdin)).json;
  const config = JSON.stringify(CONFIG);
  await host.sh(`ip link del dev ${name}`);
  const stale = await report("repair", config);
  await host.sh(`printf x > ${STATE_FOLDER}/podnet.json`);
  const damaged = await report("repair", config);
  const other = { ...CONFIG, name: "other", bridge: "br1" };
  await host.sh(`ip link add br1 type bridge${container("c4", "v4", "br1", "10.86.0.4/24")}`);
  const lease = (ip: string, id: string) => `/x/10.86.0.${ip}:${id}\n/x/10.86.0.${ip}:eth0\n`;
  const known = await report(
    "import",
    `${JSON.stringify(other)}\n${lease("4", "c4")}${lease("6", "gone")}`,
  );
  // A veth that can't be inspected may belong to any container.
  await host.sh(`printf x > ${STATE_FOLDER}/podnet.json
    ip link add hidden type veth peer name eth0 netns c2; ip link set dev hidden master atomic0 up
    ${hide("c2")}`);
  const stuck = await report("repair", config);
  assertShape(fieldsUnder("`repair`"), [stale, damaged, stuck]);

  await host.sh(container("c5", "v5", "br1") + hide("c5"));
  const hidden = await report("import", `${JSON.stringify(other)}\n${lease("5", "c5")}`);
  assertShape(fieldsUnder("`import`"), [known, hidden]);
});

Deno.test("docs/monitoring.md: its states are those of the program", () => {
  const expected = Object.entries(STATE_WORDS).map(([word, [about, subject]]) => [
    `\`${word}\``,
    about,
    subject === undefined ? "" : "yes",
  ]);
  assertEquals(tableUnder(MONITORING, "States"), expected);
});

hostTest(
  "docs/monitoring.md: the program prints the metrics of the page, with their labels",
  async (host) => {
    await addAttachments(host);
    const { stdout } = await host.program(["status", "--metrics"], "");
    let labels = "";
    const rows = tableUnder(MONITORING, "Metrics").map(([name = "", shown = "", about]) => {
      if (shown !== "the same") labels = shown;
      return [name.slice(1, -1), labels, about];
    });
    assertEquals(rows.map(([name, , about]) => [name, about]), Object.entries(METRICS));
    for (const [name = "", shown = ""] of rows) {
      const samples = stdout.split("\n").filter((line) => line.startsWith(`${name}{`));
      assert(samples.length > 0, `${name} has no sample\n${stdout}`);
      assert(stdout.includes(`# TYPE ${name} gauge\n`));
      for (const sample of samples) {
        const names = [...sample.matchAll(/[{,](\w+)="/g)].map(([, label]) => `\`${label}\``);
        assertEquals(names.join(", "), shown, sample);
      }
    }
    const named = new Set(stdout.match(/^atomicni_\w+/gm));
    assertEquals([...named].sort(), Object.keys(METRICS).sort());
  },
);
