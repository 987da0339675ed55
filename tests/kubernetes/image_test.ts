import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { type Json, run } from "../integration/host.ts";
import { test } from "../both_errors.ts";
import { instructions } from "./delivery.ts";
import { Life } from "./life.ts";

const BUILD = fromFileUrl(new URL("image", import.meta.url));
const EMULATED = fromFileUrl(new URL("emulated", import.meta.url));
const ARCHITECTURES = { amd64: "x86_64", arm64: "aarch64" };
const FOLDER = "usr/lib/atomicni/";
/** The programs that the scripts run, besides those of Debian's base. */
const TOOLS = "busybox conntrack curl flock inotifywait ip jq modprobe nft setpriv sysctl";

async function output(...command: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command);
  assertEquals(code, 0, `${command.join(" ")}: ${stderr}`);
  return stdout;
}

/** The configuration of an image, and of each of its layers the listing of `tar`: mode, owner and path of each file. */
async function contents(layout: string): Promise<{ config: Json; layers: string[][] }> {
  const blob = async (digest: string) =>
    JSON.parse(await Deno.readTextFile(`${layout}/blobs/${digest.replace(":", "/")}`));
  const { manifests: [{ digest }] } = JSON.parse(await Deno.readTextFile(`${layout}/index.json`));
  const { config, layers } = await blob(digest);
  const listed = layers.map(async (it: Json) => {
    const file = `${layout}/blobs/${it.digest.replace(":", "/")}`;
    const lines = await output("tar", "--numeric-owner", "-tvf", file);
    return lines.trim().split("\n").map((line) => {
      const [mode, owner, , , , path] = line.split(/\s+/);
      return `${mode} ${owner} ${path}`;
    });
  });
  return { config: await blob(config.digest), layers: await Promise.all(listed) };
}

/** The files that COPY names, as the layer has to list them. */
async function copied(): Promise<string[]> {
  const copy = (await instructions()).find((it) => it.startsWith("COPY ")) ?? "";
  const words = copy.replace(/^\S+ bin\S+/, "").trim().split(" ").slice(0, -1);
  const names = (await output("git", "ls-files", "--", ...words)).trim().split("\n")
    .map((it) => `-rw-r--r-- 0/0 ${FOLDER}${it.split("/").at(-1)}`);
  return [...names, `-rwxr-xr-x 0/0 ${FOLDER}atomicni`].sort();
}

async function checkImage(folder: string, arch: "amd64" | "arm64"): Promise<void> {
  const { config, layers } = await contents(`${folder}/${arch}/image`);
  const { Entrypoint, Cmd, Env, Labels, User } = config.config;
  const [, entrypoint = ""] = (await instructions()).at(-1)?.split("ENTRYPOINT ") ?? [];
  assertEquals(
    [config.os, config.architecture, Entrypoint, Cmd, User],
    ["linux", arch, JSON.parse(entrypoint), undefined, undefined],
  );
  assertEquals(Object.keys(Labels), ["io.buildah.version"]);
  assertEquals(Env.map((it: string) => it.split("=")[0]), ["PATH"]);
  const [base = [], packages = [], files = [], ...more] = layers;
  assertEquals([base.length > 1000, more], [true, []], "base, packages, files");
  assertEquals(
    files.filter((it) => !it.startsWith("d")).sort(),
    await copied(),
    "the layer with the files of this project",
  );
  // A whiteout removes a file of the base.
  const paths = packages.map((it) => it.split(" ")[2] ?? "").filter((it) => !it.includes("/.wh."));
  assert(paths.includes("usr/sbin/nft") && paths.includes("usr/bin/jq"), "the packages");
  // Debian's scripts may write into these folders; the builder's settings and package lists may not stay.
  const kept = paths.filter((it) =>
    /^(root|home|tmp|run|usr\/local|var\/lib\/apt\/lists)\/.|^etc\/(apt|npmrc|resolv|hosts)/.test(
      it,
    )
  );
  assertEquals(kept, []);
  assertEquals(packages.filter((it) => /^-..[sS]|^-.....[sS]/.test(it)), [], "files with setuid");
}

/** The command in a root with /proc, on the emulator if necessary. */
function inRoot(root: string, ...command: string[]): string[] {
  return [
    "sh",
    EMULATED,
    "sh",
    "-c",
    'mount -t proc proc "$0/proc"; exec chroot "$0" "$@"',
    root,
    ...command,
  ];
}

async function checkPrograms(folder: string, arch: "amd64" | "arm64"): Promise<void> {
  const root = `${folder}/${arch}/root`;
  const inside = (...command: string[]) => output(...inRoot(root, ...command));
  assertEquals((await inside("uname", "-m")).trim(), ARCHITECTURES[arch]);
  const supported = JSON.parse(
    await inside(
      "env",
      "CNI_COMMAND=VERSION",
      "sh",
      "-c",
      `echo '{"cniVersion":"1.1.0"}' | /${FOLDER}atomicni`,
    ),
  );
  assert(supported.supportedVersions.includes("1.1.0"), JSON.stringify(supported));
  assertMatch(await inside(`/${FOLDER}atomicni`, "version"), /compiled/);
  await inside("sh", "-c", `for it in ${TOOLS}; do command -v $it >/dev/null || exit 1; done`);
  const { code, stderr } = await run(inRoot(root, "sh", `/${FOLDER}node.sh`));
  assertEquals([code, stderr.startsWith("node.sh run|")], [2, true], stderr);
}

/** A fetch at run time would need one of these; the scripts send one question to the API and store the answer in a file. */
async function checkFetches(folder: string): Promise<void> {
  const found = await output(
    "grep",
    "-rnwE",
    "curl|wget|apt|apt-get|dpkg|git|nc|ssh|eval|source",
    "--include=*.sh",
    "--include=install",
    `${folder}/amd64/root/${FOLDER}`,
  );
  const lines = found.trim().split("\n").filter((it) => !/:\s*#/.test(it));
  assertEquals(lines.map((it) => it.split(":")[0]?.split("/").at(-1)), ["api.sh"], found);
  assertMatch(lines.join(), /status=\$\(curl .*--output "\$scratch\/answer"/);
}

/** A node's life with the pods of the built image. */
async function live(folder: string): Promise<void> {
  const image = await Deno.makeTempDir({ prefix: "atomicni-life-" });
  await Deno.mkdir(`${image}/layer`);
  await Deno.symlink(await Deno.realPath(`${folder}/amd64/root`), `${image}/root`);
  const ranges = ["10.244.3.0/24", "fd00:10:244:3::/64"];
  await using life = await Life.begin(image, {
    ...{ suite: "trixie", uplink: "eth0", service: "127.0.0.1", ranges },
  });
  const first = await life.apply();
  await life.installed();
  const id = await life.attach();
  await life.check();
  await life.apply();
  await life.installed();
  await life.check();
  assertMatch(await life.kubelet.said(first), /the DaemonSet stays: nothing removed/);
  await life.detach(id);
  await life.kubelet.delete("foreground");
  await life.nothingLeft();
  await Deno.remove(image, { recursive: true });
}

test("the image, built for both architectures: files, programs, and a life", async (context) => {
  const given = Deno.env.get("KUBERNETES_IMAGE");
  const folder = given ?? await Deno.makeTempDir({ prefix: "atomicni-built-" });
  try {
    if (given === undefined) await output("sh", BUILD, folder);
    for (const arch of ["amd64", "arm64"] as const) {
      await context.step(`${arch}: layers`, () => checkImage(folder, arch));
      await context.step(`${arch}: programs`, () => checkPrograms(folder, arch));
    }
    await context.step("nothing is fetched at run time", () => checkFetches(folder));
    await context.step("a life", () => live(folder));
  } finally {
    if (given === undefined) await output("rm", "-rf", folder);
  }
});
