// deno-lint-ignore-file no-import-prefix -- not in deno.json's imports: nothing of the program needs them
/**
 * sbom.ts FILE [RELEASED]: prints a CycloneDX bill of materials of the built FILE: its modules, from Deno's own module
 * graph, and its runtime. RELEASED is the published copy of the file, for the checksum. Equal input gives equal bytes:
 * there is no time and no random serial number.
 */
import {
  Enums,
  Models,
  Serialize,
  Spec,
  Validation,
} from "npm:@cyclonedx/cyclonedx-library@10.3.0";
// The library validates with these, if they are installed.
import "npm:ajv@8.17.1";
import "npm:ajv-formats@3.0.1";
import "npm:ajv-formats-draft2019@1.6.1";
import manifest from "../../deno.json" with { type: "json" };

const [file = "", released = file] = Deno.args;

/** A package with modules in the file. */
interface Part {
  readonly name: string;
  readonly version: string;
  readonly from: "jsr" | "npm";
  readonly isStandIn?: boolean;
}

async function output(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  if (!success) {
    throw new Error(`${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
  return new TextDecoder().decode(stdout);
}

async function parts(): Promise<Part[]> {
  const { modules, npmPackages } = JSON.parse(
    await output(Deno.execPath(), "info", "--json", "main.ts"),
  );
  const found = new Map<string, Part>();
  for (const { specifier } of modules) {
    const [, name, version] = /\/(@std\/[a-z]+)\/(\d[^/]*)\//.exec(specifier) ?? [];
    if (name !== undefined && version !== undefined) {
      const isStandIn = specifier.includes("/tools/build/jsr/");
      found.set(name, { name, version, from: "jsr", isStandIn });
    }
  }
  for (const { name, version } of Object.values<Part>(npmPackages ?? {})) {
    found.set(name, { name, version, from: "npm" });
  }
  return [...found.values()].sort((a, b) => a.name < b.name ? -1 : 1);
}

function componentOf({ name, version, from, isStandIn }: Part): Models.Component {
  const [group, short = group] = name.startsWith("@") ? name.split("/") : [undefined, name];
  const component = new Models.Component(Enums.ComponentType.Library, short ?? name, {
    ...(group !== undefined && { group }),
    version,
    bomRef: `${from}:${name}@${version}`,
    ...(isStandIn && { description: "this project's replacement, made from npm's deno-std" }),
  });
  component.licenses.add(new Models.SpdxLicense("MIT"));
  component.purl = `pkg:${from}/${name}@${version}`;
  return component;
}

async function bill(): Promise<Models.Bom> {
  const built = JSON.parse(await output(file, "version", "--json"));
  const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(released));
  const bom = new Models.Bom();
  const program = new Models.Component(Enums.ComponentType.Application, "atomicni", {
    version: built.version,
    bomRef: `atomicni@${built.version}`,
    description: `${built.form}, commit ${built.commit}`,
  });
  program.licenses.add(new Models.SpdxLicense(manifest.license));
  program.hashes.set(
    Enums.HashAlgorithm["SHA-256"],
    Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join(""),
  );
  bom.metadata.component = program;
  const runtime = new Models.Component(Enums.ComponentType.Framework, "deno", {
    version: built.deno,
    bomRef: `deno@${built.deno}`,
    purl: `pkg:github/denoland/deno@v${built.deno}`,
    description: built.form === "script"
      ? "runs the file; not part of it"
      : "the runtime before the program (denort)",
    ...(built.form === "script" && { scope: Enums.ComponentScope.Excluded }),
  });
  runtime.licenses.add(new Models.SpdxLicense("MIT"));
  for (const component of [runtime, ...(await parts()).map(componentOf)]) {
    bom.components.add(component);
    program.dependencies.add(component.bomRef);
  }
  return bom;
}

const spec = Spec.Spec1dot6;
const text = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(spec)).serialize(
  await bill(),
  { sortLists: true, space: 2 },
);
const wrong = await new Validation.JsonStrictValidator(spec.version).validate(text);
if (wrong !== null) throw new Error(`not CycloneDX ${spec.version}: ${JSON.stringify(wrong)}`);
await Deno.stdout.write(new TextEncoder().encode(`${text}\n`));
