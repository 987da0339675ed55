/**
 * The least that a Deno program can do for a container: the `ip` commands of the floor, started and fed as AtomicNI
 * starts and feeds them, and nothing else: it reads no configuration, allocates no address, keeps and undoes nothing.
 * `tools/build/build least` makes build/least.js of it.
 */

function start(...args: string[]): Deno.ChildProcess {
  return new Deno.Command("/usr/sbin/ip", {
    args,
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Writes the commands to `ip` and waits for its end. */
async function finish(ip: Deno.ChildProcess, commands: string): Promise<Deno.CommandOutput> {
  const writer = ip.stdin.getWriter();
  const feeding = writer.write(new TextEncoder().encode(commands)).then(() => writer.close());
  const output = await ip.output();
  await feeding;
  return output;
}

async function stdin(): Promise<unknown> {
  const bytes = new Uint8Array(16 * 1024);
  let length = 0;
  for (;;) {
    const read = await Deno.stdin.read(bytes.subarray(length));
    if (read === null) return JSON.parse(new TextDecoder().decode(bytes.subarray(0, length)));
    length += read;
  }
}

const netns = Deno.env.get("CNI_NETNS") ?? "";
/** The number at the end of the container ID, so that many can run at once. */
const container = Number(/\d+$/.exec(Deno.env.get("CNI_CONTAINERID") ?? "")?.[0] ?? 0);
const [HOST, BRIDGE] = [`le${container}`, "bench2"];
const last = container % 250 + 2;
const outside = ["-d", "-j", "-batch", "-"];
const inside = ["-n", `../../..${netns}`, ...outside];

/** Each returns the outputs of its `ip`. */
const commands: Record<string, () => Promise<Deno.CommandOutput[]>> = {
  ADD: async () => {
    const first = start(...outside);
    await stdin();
    const making = finish(
      first,
      `addr show dev ${BRIDGE}
link add name ${HOST} mtu 1500 master ${BRIDGE} type veth peer name eth0 mtu 1500 netns ${netns}
addr show dev ${HOST}
link set dev ${HOST} alias bench/${container} up
addr show dev ${BRIDGE}
`,
    );
    const second = start(...inside);
    return [
      await making,
      await finish(
        second,
        `link set dev eth0 address 0a:58:0a:40:00:${last.toString(16).padStart(2, "0")} up
addr add 10.64.0.${last}/14 brd + dev eth0
route add default via 10.64.0.1 dev eth0
`,
      ),
    ];
  },
  CHECK: async () => {
    const both = [start(...outside), start(...inside)] as const;
    await stdin();
    return await Promise.all([
      finish(both[0], `addr show dev ${BRIDGE}\nlink show dev ${HOST}\n`),
      finish(both[1], `addr show dev eth0\nroute show table all dev eth0\n`),
    ]);
  },
  DEL: async () => {
    const ip = start("-batch", "-");
    await stdin();
    return [await finish(ip, `link del dev ${HOST}\n`)];
  },
};

const outputs = await commands[Deno.env.get("CNI_COMMAND") ?? ""]?.() ?? [];
for (const { stderr } of outputs) Deno.stderr.writeSync(stderr);
if (outputs.length > 0) Deno.stdout.writeSync(new TextEncoder().encode("{}\n"));
Deno.exit(outputs.every(({ success }) => success) ? 0 : 1);
