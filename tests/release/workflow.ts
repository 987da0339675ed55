import { fromFileUrl } from "@std/path/posix";
import { run } from "../integration/host.ts";

export const CHECKOUT = fromFileUrl(new URL("../../", import.meta.url));

export interface Step {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly with?: Readonly<Record<string, unknown>>;
  readonly "working-directory"?: string;
}

export interface Job {
  readonly uses?: string;
  readonly needs?: string;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly steps?: readonly Step[];
}

export interface Workflow {
  readonly on: unknown;
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

/** Reads .github/workflows/NAME.yml. YAML 1.1 reads the key `on` as a boolean; GitHub does not. */
export async function workflow(name: string): Promise<Workflow> {
  const file = `${CHECKOUT}.github/workflows/${name}.yml`;
  const script =
    "import json,sys,yaml; d=yaml.safe_load(open(sys.argv[1])); d['on']=d.pop(True); print(json.dumps(d))";
  const { code, stdout, stderr } = await run(["python3", "-c", script, file]);
  if (code !== 0) throw new Error(`${file}: ${stderr}`);
  return JSON.parse(stdout);
}
