import { assert } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import type { Node } from "../runtimes/node.ts";

export const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** The text below a heading of a page, up to the next heading. */
export interface Section {
  readonly heading: string;
  /** The text of its `sh` blocks, which a reader would copy. */
  readonly commands: string;
}

/** The sections of a page, the text before the first heading under "". */
export async function sectionsOf(page: string): Promise<Section[]> {
  const text = await Deno.readTextFile(`${ROOT}${page}`);
  let isCode = false;
  const sections: { heading: string; lines: string[] }[] = [{ heading: "", lines: [] }];
  for (const line of text.split("\n")) {
    if (line.startsWith("```")) isCode = !isCode;
    const heading = isCode ? undefined : /^##+ (.*)$/.exec(line)?.[1];
    if (heading === undefined) sections.at(-1)?.lines.push(line);
    else sections.push({ heading, lines: [] });
  }
  return sections.map(({ heading, lines }) => {
    const blocks = lines.join("\n").matchAll(/^```sh\n([\s\S]*?)^```/gm);
    return { heading, commands: [...blocks].map(([, block = ""]) => block).join("") };
  });
}

export async function commandsOf(page: string, heading: string): Promise<string> {
  const section = (await sectionsOf(page)).find((it) => it.heading === heading);
  assert(section !== undefined, `${page} has no section "${heading}"`);
  return section.commands;
}

/**
 * Replaces systemctl, because a node of the tests has no init: `enable --now` and `disable --now` run the commands of the
 * installed unit. `make` installs the files that were built before the tests, and builds nothing.
 */
const STAND_INS = `
mkdir -p /run/stand-ins
cat >/run/stand-ins/systemctl <<'END'
#!/bin/sh
set -e
for unit; do :; done
instance=\${unit#*@} instance=\${instance%.service}
file=/etc/systemd/system/\${unit%@*}@.service
case "$*" in *--now*) ;; *) test -f "$file"; exit ;; esac
case $1 in enable) key=ExecStart ;; disable) key=ExecStop ;; esac
sed -n "s/^$key=//p" "$file" | sed "s/%i/$instance/g" | sh -e
END
cat >/run/stand-ins/make <<END
#!/bin/sh
exec /usr/bin/make -s -o bin/atomicni "\\$@"
END
chmod +x /run/stand-ins/*`;

/** Runs the commands of a section line by line, in the project's folder, as root. Throws if one fails. */
export async function follow(node: Node, page: string, heading: string): Promise<string> {
  return await followCommands(node, await commandsOf(page, heading));
}

/** Runs commands as `follow` runs the commands of a section. */
export async function followCommands(node: Node, commands: string): Promise<string> {
  await node.sh(STAND_INS);
  return await node.sh(
    `cd ${ROOT}; export PATH=/run/stand-ins:$PATH:/opt/cni/bin; ${commands}`,
  );
}

/** Installs AtomicNI on an empty node with the commands of the page. */
export async function install(node: Node): Promise<void> {
  await node.sh("rm -rf /opt/cni/bin/atomicni /opt/cni/bin/.atomicni-* /var/lib/atomicni/*");
  await follow(node, "docs/install.md", "Install");
}
