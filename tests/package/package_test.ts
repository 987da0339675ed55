import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { run } from "../integration/host.ts";
import { ARCHITECTURE, PACKAGES } from "./debian.ts";

const CHECKOUT = fromFileUrl(new URL("../../", import.meta.url));
const DEB = `${PACKAGES}/atomicni_1.0_${ARCHITECTURE}.deb`;
const OTHER = `${PACKAGES}/atomicni_1.0_${ARCHITECTURE === "amd64" ? "arm64" : "amd64"}.deb`;
const PROGRAM = `${CHECKOUT}bin/atomicni.js`;

const FILES = `
/etc/sysctl.d/90-atomicni.conf
/usr/lib/atomicni/atomicni
/usr/lib/atomicni/install
/usr/lib/systemd/system/atomicni-rules@.service
/usr/lib/tmpfiles.d/atomicni.conf
/usr/sbin/atomicni
/usr/share/bash-completion/completions/atomicni
/usr/share/doc/atomicni/README.Debian
/usr/share/doc/atomicni/README.md
/usr/share/doc/atomicni/SECURITY.md
/usr/share/doc/atomicni/changelog.gz
/usr/share/doc/atomicni/copyright
/usr/share/doc/atomicni/errors.md
/usr/share/doc/atomicni/examples/10-atomicni-chain.conflist
/usr/share/doc/atomicni/examples/10-atomicni.conflist
/usr/share/doc/atomicni/examples/10-crio-atomicni.conflist
/usr/share/doc/atomicni/examples/atomicni.nft
/usr/share/doc/atomicni/examples/containerd.template
/usr/share/fish/vendor_completions.d/atomicni.fish
/usr/share/lintian/overrides/atomicni
/usr/share/man/man8/atomicni.8.gz
/usr/share/zsh/vendor-completions/_atomicni
`.trim().split("\n");

async function output(...command: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command);
  assertEquals(code, 0, `${command.join(" ")}: ${stderr}`);
  return stdout;
}

/** Unpacks a package while `body` runs. */
async function unpacked(deb: string, body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "atomicni-deb-" });
  try {
    await output("dpkg-deb", "-R", deb, folder);
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const deb of [DEB, OTHER]) {
  const name = deb.replace(/.*_/, "");
  Deno.test(`${name}: has exactly these files, all owned by root`, async () => {
    const rows = (await output("dpkg-deb", "-c", deb)).trim().split("\n").map((line) =>
      line.split(/ +/)
    );
    const files = rows.filter(([mode]) => !mode?.startsWith("d"));
    assertEquals(files.map((row) => row[5]?.slice(1)).sort(), FILES);
    assertEquals(new Set(rows.map((row) => row[1])), new Set(["root/root"]));
    const executable = files.filter(([mode]) => mode?.startsWith("-") && mode.includes("x"));
    assertEquals(executable.map((row) => row[5]), [
      "./usr/lib/atomicni/atomicni",
      "./usr/lib/atomicni/install",
    ]);
    const loose = rows.filter(([mode]) => /^[^l](.{4}w|.{7}w|.*s)/.test(mode ?? ""));
    assertEquals(loose, [], "others may write to it, or it is set-id");
  });

  Deno.test(`${name}: depends on the libraries that its program needs`, async () => {
    await unpacked(deb, async (folder) => {
      const control = await Deno.readTextFile(`${folder}/DEBIAN/control`);
      assertMatch(control, new RegExp(`^Architecture: ${name.replace(".deb", "")}$`, "m"));
      const symbols = await output(
        "readelf",
        "-W",
        "--dyn-syms",
        `${folder}/usr/lib/atomicni/atomicni`,
      );
      const wanted = [...symbols.matchAll(/@GLIBC_([0-9.]+)/g)].map(([, version = ""]) => version);
      const [, promised = ""] = /libc6 \(>= ([0-9.]+)\)/.exec(control) ?? [];
      for (const version of new Set(wanted)) {
        await output("dpkg", "--compare-versions", promised, "ge", version);
      }
      assertMatch(control, /^Depends: .*libgcc-s1.*, iproute2 \(>= 5\.0\)$/m);
      const needed = await output("readelf", "-d", `${folder}/usr/lib/atomicni/atomicni`);
      const libraries = [...needed.matchAll(/NEEDED.*\[(.*)\]/g)].map(([, library = ""]) =>
        library
      );
      const other = libraries.filter((it) =>
        !/^(lib(c|dl|m|pthread|rt|gcc_s)\.so|ld-linux)/.test(it)
      );
      assertEquals(other, [], "a library of a package that Depends does not name");
    });
  });
}

Deno.test("a build with a borrowed runtime says so in its description", async () => {
  const { borrowedRuntime } = JSON.parse(
    await output(`${CHECKOUT}bin/atomicni`, "version", "--json"),
  );
  assertEquals(
    /borrowed runtime/.test(await output("dpkg-deb", "-f", DEB, "Description")),
    borrowedRuntime,
  );
});

Deno.test("atomicni(8): man shows it without a warning, with every command and option of the help", async () => {
  await unpacked(DEB, async (folder) => {
    const page = `${folder}/usr/share/man/man8/atomicni.8.gz`;
    const { code, stdout: text, stderr } = await run(["man", "--warnings", "-l", page], "", {
      MANWIDTH: "200",
      PATH: "/usr/bin:/bin",
      LC_ALL: "C.UTF-8",
    });
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const commands = JSON.parse(await output(PROGRAM, "help", "--json"));
    assert(commands.length > 5);
    for (const { name, about, example, options } of commands) {
      for (
        const part of [
          name,
          about,
          example,
          ...options.map((it: { name: string }) => `--${it.name}`),
        ]
      ) {
        // In filled lines, breaks and blanks may vary.
        const words = part.split(/\s+/).map((word: string) =>
          word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
        );
        assertMatch(text, new RegExp(words.join("\\s+")), `${name}: ${part}`);
      }
    }
    const { scope } = JSON.parse(await output(PROGRAM, "version", "--json"));
    for (const value of [...scope.write, ...scope.run, ...scope.env]) {
      assert(text.includes(value), value);
    }
  });
});

Deno.test("the completions are those that the program prints, in the folder that each shell reads", async () => {
  await unpacked(DEB, async (folder) => {
    for (
      const [shell, file] of [
        ["bash", "bash-completion/completions/atomicni"],
        ["zsh", "zsh/vendor-completions/_atomicni"],
        ["fish", "fish/vendor_completions.d/atomicni.fish"],
      ] as const
    ) {
      const text = await Deno.readTextFile(`${folder}/usr/share/${file}`);
      assertEquals(text, await output(PROGRAM, "completion", shell), shell);
    }
  });
});

Deno.test("the same commit and file give the same package, in another folder and at another time", async () => {
  const folder = await Deno.makeTempDir({ prefix: "atomicni-deb-" });
  try {
    await output(
      "env",
      "DEB_VERSION=1.0",
      "TZ=Asia/Tokyo",
      "sh",
      "-c",
      `umask 077; ${CHECKOUT}tools/release/deb ${CHECKOUT}bin/atomicni ${folder}/deep`,
    );
    await output("cmp", DEB, `${folder}/deep/atomicni_1.0_${ARCHITECTURE}.deb`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("lintian finds no error and no unused override", async () => {
  const folder = await Deno.makeTempDir({ prefix: "atomicni-deb-" });
  try {
    const deb = `${folder}/atomicni_1.0_${ARCHITECTURE}.deb`;
    // Compressed as for a release, because lintian requires it; the other tests save the time.
    await unpacked(DEB, async (it) => {
      await output("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", it, deb);
    });
    const { stdout } = await run([
      "lintian",
      "--info",
      "--display-level",
      ">=info",
      "--show-overrides",
      deb,
    ]);
    const lines = stdout.split("\n");
    assertEquals(lines.filter((line) => /^[EW]: /.test(line)), [], stdout);
    assertEquals(
      lines.filter((line) => /unused-override|mismatched-override/.test(line)),
      [],
      stdout,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
