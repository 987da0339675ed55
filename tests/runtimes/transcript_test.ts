import { assert, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { Containerd } from "./containerd.ts";
import { DEPLOY, nodeTest, REFERENCE_PLUGINS } from "./node.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** The blocks of README.md and docs/ that show root's commands with their output. */
async function transcripts(): Promise<[file: string, text: string][]> {
  const docs = [...Deno.readDirSync(`${ROOT}docs`)].map(({ name }) => `docs/${name}`);
  const found: [string, string][] = [];
  for (const file of ["README.md", ...docs.filter((name) => name.endsWith(".md"))]) {
    const text = await Deno.readTextFile(`${ROOT}${file}`);
    for (
      const [, block = ""] of text.matchAll(/^```text\n((?:# (?!ctr ).*\n)*# ctr [\s\S]*?)^```/gm)
    ) {
      found.push([file, block]);
    }
  }
  return found;
}

/** Commands with their output. … matches text that varies from run to run, and blanks match any number of blanks. */
function steps(transcript: string): { command: string; output: RegExp }[] {
  return transcript.split(/^# /m).slice(1).map((step) => {
    const [command = "", ...lines] = step.trimEnd().split("\n");
    const literal = lines.join("\n").replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return {
      command,
      output: new RegExp(`^${literal.replaceAll("…", ".*").replaceAll(/ +/g, " +")}\\s*$`),
    };
  });
}

nodeTest("README and docs: each transcript of ctr run --cni works as shown", async (node) => {
  const found = await transcripts();
  assert(found.length > 0, "no transcript");
  await node.write(
    "/etc/cni/net.d/10-atomicni.conflist",
    await Deno.readTextFile(`${DEPLOY}/10-atomicni.conflist`),
  );
  await Containerd.start(node);
  // As Debian's packages and `make install` leave a host: each plugin only in its own folder.
  const unlink = `find /opt/cni/bin -type l -delete; rm -f ${REFERENCE_PLUGINS}/atomicni`;
  for (const [file, text] of found) {
    await node.sh(`rm -rf /var/lib/atomicni/*; ${unlink}`);
    let settings = "";
    for (const { command, output } of steps(text)) {
      if (/^[A-Z]+=/.test(command)) settings += `${command}; `;
      const printed = await node.sh(`${settings}${command}`);
      assertMatch(printed, output, `${file}: # ${command}`);
    }
    await node.sh(`for id in $(ctr task ls -q); do ctr task rm --force $id; done
      for id in $(ctr container ls -q); do ctr container rm $id; done`);
  }
});
