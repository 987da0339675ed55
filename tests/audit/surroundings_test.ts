import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { CONFIG, type Host, hostTest, type Json } from "../integration/host.ts";
import { type Attempt, type Ended, SURROUNDINGS, type Surroundings } from "./surroundings.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** The built forms only: the source form runs in a developer's environment. */
const FILES: readonly string[] = (Deno.env.get("ATOMICNI") ?? "bin/atomicni bin/atomicni.js")
  .split(" ").map((file) => new URL(file, `file://${ROOT}`).pathname);

/**
 * Replaces `ip` with a script that notes its environment and calls the real one; a shell itself adds four
 * variables.
 */
const WATCHED_IP = `cp /usr/bin/ip /run/real-ip
cat > /run/watched-ip <<'E'
#!/bin/sh
if [ -r /proc/$$/environ ]; then read -r it </proc/$$/environ
else it=$(/usr/bin/env | /usr/bin/grep -v '^\\(PWD\\|OLDPWD\\|SHLVL\\|_\\)='); fi
[ -z "$it" ] || printf '%s\\n' "$it" >>/run/env-of-ip
exec /run/real-ip "$@"
E
chmod 755 /run/watched-ip; touch /run/env-of-ip; mount --bind /run/watched-ip /usr/bin/ip`;

for (const file of FILES) {
  const form = file.endsWith(".js") ? "script" : "compiled";
  for (const row of SURROUNDINGS) {
    hostTest(`${row.name.slice(0, 100)} (${form})`, (host) => examine(host, file, row));
  }
}

async function examine(host: Host, file: string, row: Surroundings): Promise<void> {
  await host.containers("c1");
  if (row.given !== undefined) await host.sh(row.given);
  await host.sh(WATCHED_IP);
  const attempt: Attempt = (command, more = {}) =>
    attempted(host, file, command, { ...row, run: "exec FILE", ...more });
  const ended = await attempted(host, file, "ADD", row);
  const { code, json } = ended;
  const works = row.end === "works" || (row.end === "either" && code === 0);
  if (works) {
    assertEquals([code, json?.ips?.[0]?.address.split("/")[1]], [0, "24"], JSON.stringify(ended));
  } else if (row.end === "lost") assertEquals([code, json], [0, undefined]);
  else if (typeof row.end === "string") {
    assert(code !== 0 && json?.ips === undefined, "it continued");
  } else assertEquals([code, json?.code], [1, row.end], JSON.stringify(ended));
  // From here on, the test itself may run ip.
  assertEquals(await host.sh("cat /run/env-of-ip"), "", "ip got an environment");
  await row.after?.(host, ended, attempt);
  if (works) {
    const { code, stdout } = await attempt("DEL");
    assertEquals([code, stdout], [0, ""], "DEL");
  }
  assertEquals(await host.hostVeths(), [], "a host veth is left");
  const { stdout: left } = await host.run(
    ["sh", "-c", "[ ! -f /var/lib/atomicni/podnet.json ] || cat /var/lib/atomicni/podnet.json"],
  );
  assert(!/"c+1?\/eth0"/.test(left), "a lease is left");
  assertEquals((await host.run(["test", "-e", "/run/owned"])).code, 1, "something was written");
}

async function attempted(
  host: Host,
  file: string,
  command: string,
  { run = "exec FILE", env = {}, config = CONFIG, stderrIsDenos = false }: Partial<Surroundings>,
): Promise<Ended> {
  const cni = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: "c1",
    CNI_NETNS: "/run/netns/c1",
    CNI_IFNAME: "eth0",
    CNI_PATH: "/opt/cni/bin",
    PATH: "/usr/sbin:/usr/bin",
  };
  const finished = await host.run(
    [
      ...["/usr/bin/timeout", "-k", "5", "60", "/usr/bin/env", "-i"],
      ...Object.entries({ ...cni, ...env }).map(([name, value]) => `${name}=${value}`),
      ...["/bin/sh", "-c", run.replaceAll("FILE", file)],
    ],
    JSON.stringify(config),
  );
  assert(![124, 137].includes(finished.code), "it hung");
  const { stdout, stderr } = finished;
  // deno-lint-ignore no-control-regex
  const escapes = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202e]/;
  const shown = stderrIsDenos ? stdout : stdout + stderr;
  assert(!escapes.test(shown), `an escape: ${JSON.stringify(shown)}`);
  return { ...finished, json: document(stdout) };
}

/** Parses one JSON document, or none. */
function document(stdout: string): Json {
  try {
    return JSON.parse(stdout);
  } catch {
    return undefined;
  }
}
