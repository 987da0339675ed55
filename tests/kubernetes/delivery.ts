import { fromFileUrl } from "@std/path/posix";
import { type Json, run } from "../integration/host.ts";
import { debianRoot } from "./root_node.ts";

// Not literal, so that only runs of these tests need the package, and a type check does not.
const YAML = "npm:yaml@2.9.1";
const HERE = fromFileUrl(new URL("../../", import.meta.url));
/** The checkout under test: an older one, if KUBERNETES_OF names its folder. */
export const CHECKOUT = Deno.env.get("KUBERNETES_OF") ?? HERE;

/** The documents of the manifest, as `kubectl apply -k` sends them; an older checkout has them in one file. */
export async function manifest(folder = "deploy/kubernetes"): Promise<Json[]> {
  const { parseAllDocuments } = await import(YAML);
  const text = await rendered(`${CHECKOUT}/${folder}`);
  return parseAllDocuments(text, { strict: true }).map((document: Json) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS();
  });
}

/** The instructions of the Containerfile, one per line. */
export async function instructions(checkout = CHECKOUT): Promise<string[]> {
  const text = await Deno.readTextFile(`${checkout}/deploy/Containerfile`);
  return text.replaceAll("\\\n", " ").split("\n").filter((line) => /^[A-Z]/.test(line));
}

/** The packages of the image. An older image has fewer of the same. */
export async function imagePackages(): Promise<string[]> {
  const run = (await instructions(HERE)).find((it) => it.startsWith("RUN ")) ?? "";
  const list = /--no-install-recommends ([\w .+-]+?) *&&/.exec(run)?.[1] ?? "";
  return list.split(/\s+/);
}

/**
 * Creates the image's root in a folder: `root`, the Debian with its packages, and `layer`, the copied files. The
 * program is the built file of this machine.
 */
export async function buildImage(folder: string, program: string): Promise<void> {
  await Deno.mkdir(`${folder}/layer`, { recursive: true });
  await Deno.symlink(await debianRoot("trixie", ...await imagePackages()), `${folder}/root`);
  for (const line of await instructions()) {
    if (!line.startsWith("COPY ")) continue;
    const words = line.split(/\s+/).slice(1).filter((it) => !it.startsWith("--"));
    const to = `${folder}/layer${words.pop()}`;
    await Deno.mkdir(to, { recursive: true });
    for (const word of words) {
      for (const file of matching(word)) {
        const isProgram = /(^|\/)atomicni$/.test(file);
        const source = isProgram ? program : `${CHECKOUT}/${file}`;
        await Deno.copyFile(source, `${to}/${file.split("/").at(-1)}`);
      }
    }
  }
}

/** The files that a word of COPY names; a file name may be a pattern. */
function matching(word: string): string[] {
  const cut = word.lastIndexOf("/") + 1;
  if (!word.includes("*")) return [word];
  const pattern = new RegExp(`^${word.slice(cut).replaceAll(".", "\\.").replaceAll("*", ".*")}$`);
  const folder = word.slice(0, cut);
  return [...Deno.readDirSync(`${CHECKOUT}/${folder}`)].map(({ name }) => name).filter((name) =>
    pattern.test(name)
  ).map((name) => folder + name);
}

async function rendered(folder: string): Promise<string> {
  try {
    await Deno.stat(`${folder}/kustomization.yaml`);
  } catch {
    return await Deno.readTextFile(`${folder}.yaml`);
  }
  const { code, stdout, stderr } = await run(["kubectl", "kustomize", folder]);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}
