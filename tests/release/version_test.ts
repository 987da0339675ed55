import { assertEquals, assertMatch } from "@std/assert";
import manifest from "../../deno.json" with { type: "json" };
import { run } from "../integration/host.ts";
import { CHECKOUT } from "./workflow.ts";

const { version } = manifest;

async function sh(script: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(["sh", "-euc", script, "sh", ...args], "");
  assertEquals(code, 0, `${stdout}${stderr}`);
  return stdout.trim();
}

Deno.test("the changelog's newest version is that of deno.json, with its date, below an empty Unreleased", async () => {
  const text = await Deno.readTextFile(`${CHECKOUT}CHANGELOG.md`);
  const [unreleased, newest, older] = [...text.matchAll(/^## (.*)$/gm)];
  assertEquals(unreleased?.[1], "Unreleased");
  assertMatch(
    newest?.[1] ?? "",
    new RegExp(`^${version.replaceAll(".", "\\.")} \\(20\\d\\d-\\d\\d-\\d\\d\\)$`),
  );
  assertEquals(older?.[1], "0.1.0");
});

Deno.test("the manifest and the pages name the image of this version", async () => {
  const files = ["deploy/kubernetes/kustomization.yaml", "README.md", "docs/kubernetes-image.md"];
  for (const file of files) {
    const text = await Deno.readTextFile(`${CHECKOUT}${file}`);
    const tags = [...text.matchAll(/(?:newTag: |\/atomicni:)([\w.+-]+)/g)].map(([, tag]) => tag);
    assertEquals(new Set(tags), new Set([version]), file);
  }
});

Deno.test("a package has the version of its tag; one of a later commit sorts above it, below the next", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const clone = `${folder}/clone`;
    await sh('git clone -q "$1" "$2" && git -C "$2" tag -f "v$3"', CHECKOUT, clone, version);
    assertEquals(await sh('sh "$1/tools/build/version"', clone), version);
    await sh(
      'cd "$1" && git -c user.name=a -c user.email=a@example.org commit -q --allow-empty -m later',
      clone,
    );
    const later = await sh('sh "$1/tools/build/version"', clone);
    assertMatch(later, new RegExp(`^${version.replaceAll(".", "\\.")}\\+git\\d{12}\\.[0-9a-z]+$`));
    const next = version.replace(/\d+$/, (patch) => `${Number(patch) + 1}`);
    await sh(
      'dpkg --compare-versions "$1" lt "$2" && dpkg --compare-versions "$2" lt "$3"',
      version,
      later,
      next,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("an archive that git creates contains its commit and its tag", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const clone = `${folder}/clone`;
    const unpacked = `${folder}/unpacked`;
    await sh(
      `git clone -q "$1" "$2" && cd "$2" && git tag -f "v$4" && mkdir "$3" && git archive HEAD | tar -xC "$3"`,
      CHECKOUT,
      clone,
      unpacked,
      version,
    );
    const [name = "", time, tag] = (await sh('sh "$1/tools/build/commit"', unpacked)).split(" ");
    assertEquals([time, tag], [await sh('git -C "$1" log -1 --format=%ct', clone), `v${version}`]);
    assertMatch(await sh('git -C "$1" rev-parse HEAD', clone), new RegExp(`^${name}`));
    assertEquals(await sh('sh "$1/tools/build/version"', unpacked), version);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
