import { BUILD_COMMIT, BUILD_FORM } from "../base/build.ts";
import { IP_PATHS, PROGRAM_VERSION, STATE_FOLDER, VARIABLES } from "../base/scope.ts";
import { SPEC_VERSIONS } from "../base/spec.ts";
import type { Command, Report } from "./command.ts";
import { type Line, strong } from "./screen.ts";

export const version: Command = {
  name: "version",
  takes: "",
  about: "version, runtime and permission scope",
  example: "atomicni version --json",
  run: report,
};

/** A value that starts with "@" was not replaced by a build. The full placeholder would itself be replaced here. */
function built(value: string, otherwise: string): string {
  return value.startsWith("@") ? otherwise : value;
}

export function buildForm(): string {
  return built(BUILD_FORM, "source");
}

function report(): Report {
  const form = buildForm();
  const commit = built(BUILD_COMMIT, "unknown");
  const { deno } = Deno.version;
  const borrowedRuntime = form.includes("borrowed");
  const more = beyondScope();
  const rows = {
    form,
    commit,
    Deno: deno,
    CNI: SPEC_VERSIONS.join(", "),
    "reads, writes": STATE_FOLDER,
    runs: IP_PATHS.join(", "),
    environment: VARIABLES.join(", "),
  };
  const lines: Line[] = [
    [strong(`atomicni ${PROGRAM_VERSION}`)],
    ...Object.entries(rows).map(([name, value]) => `${name.padEnd(15)}${value}`),
  ];
  if (borrowedRuntime) {
    const text = "This build contains a borrowed runtime: it is for trials, not for a release.";
    lines.push([{ text, tone: "warning" }]);
  }
  if (more.length > 0) {
    const text = `It was started with further permissions: ${more.join(", ")}.`;
    lines.push([{ text, tone: "bad" }]);
  }
  return {
    lines,
    json: {
      version: PROGRAM_VERSION,
      form,
      borrowedRuntime,
      commit,
      deno,
      specVersions: SPEC_VERSIONS,
      scope: { read: [STATE_FOLDER], write: [STATE_FOLDER], run: IP_PATHS, env: VARIABLES },
      beyondScope: more,
    },
    exit: more.length > 0 ? 1 : 0,
  };
}

/** Permissions that were granted in addition to the declared scope. The query requests none. */
function beyondScope(): string[] {
  const outside: Deno.PermissionDescriptor[] = [
    { name: "read", path: "/" },
    { name: "write", path: "/" },
    { name: "run", command: "/bin/sh" },
    { name: "env", variable: "HOME" },
    { name: "net" },
    { name: "ffi" },
    { name: "sys" },
  ];
  return outside.filter((it) => Deno.permissions.querySync(it).state === "granted")
    .map(({ name }) => name);
}
