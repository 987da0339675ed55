import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  type Answer,
  type CniCall,
  CONFIG,
  type Host,
  hostTest,
  type Mode,
  MODES,
  STATE_FOLDER,
} from "./host.ts";
import { snapshot } from "./snapshot.ts";

interface Row {
  readonly name: string;
  readonly call: CniCall;
  readonly code: number;
  readonly message: RegExp;
  /** Shell before and after the run. */
  readonly prepare?: string;
  readonly restore?: string;
}

/** A bridge that no run makes: the error is known before. */
const FRESH = { ...CONFIG, bridge: "fresh0" };
const NOISE = new Uint8Array(10_000_000).map((_, i) => (i * 7919 + (i >> 8)) % 256);

function assertRefused(answer: Answer, { name, code, message }: Row): void {
  assertEquals(answer.code, 1, `${name}: exit status; ${answer.stdout}`);
  assert(answer.json !== undefined, `${name}: not one JSON document: ${answer.stdout}`);
  const { cniVersion, code: found, msg, details = "", ...rest } = answer.json;
  assertEquals(
    { cniVersion, code: found, rest },
    { cniVersion: "1.1.0", code, rest: {} },
    `${name}: ${msg}`,
  );
  assertMatch(`${msg}; ${details}`, message, name);
  const said = answer.stdout + answer.stderr;
  assert(!/\n\s+at |\\n\s+at |Stack backtrace/.test(said), `${name}: a stack trace: ${said}`);
}

/** Rows without a preparation of their own are run at once, so many at a time, each on a container of its own. */
const CONTAINERS = ["c1", "c2", "c3", "c4"];

/** ADDs that have to be refused beside a live neighbour, which must not notice, as nothing else may. */
async function refuseAll(host: Host, rows: readonly Row[]): Promise<void> {
  await host.containers("n1", ...CONTAINERS);
  await host.add({ id: "n1" });
  assert(await host.pings("n1", CONFIG.gateway));
  for (const group of groups(rows)) {
    const names = group.map(({ name }) => name).join(", ");
    for (const { prepare } of group) if (prepare !== undefined) await host.sh(prepare);
    const before = await snapshot(host);
    await Promise.all(group.map(async (row, index) => {
      assertRefused(await host.cni("ADD", { id: CONTAINERS[index] ?? "", ...row.call }), row);
    }));
    assertEquals(await snapshot(host), before, `something was touched: ${names}`);
    assert(await host.pings("n1", CONFIG.gateway), `the neighbour is cut off: ${names}`);
    for (const { restore } of group) if (restore !== undefined) await host.sh(restore);
  }
  assertEquals(await host.leases(), { "n1/eth0": "10.88.0.2" });
  await host.del({ id: "n1" });
  await host.assertNothingLeft();
}

function groups(rows: readonly Row[]): Row[][] {
  const all: Row[][] = [];
  const simple = ({ prepare, restore }: Row) => prepare === undefined && restore === undefined;
  for (const row of rows) {
    const last = all.at(-1);
    if (last !== undefined && last.length < CONTAINERS.length && [...last, row].every(simple)) {
      last.push(row);
    } else all.push([row]);
  }
  return all;
}

function badInputTest(
  name: string,
  rows: readonly Row[],
  modes: readonly Mode[] = MODES.slice(0, 1),
): void {
  hostTest(
    `bad input is refused and touches nothing: ${name}`,
    (host) => refuseAll(host, rows),
    modes,
  );
}

function without(key: string): object {
  return Object.fromEntries(Object.entries(FRESH).filter(([it]) => it !== key));
}

badInputTest("stdin", [
  ...([
    ["empty", "", 6, /it is empty/],
    ["cut", "{", 6, /as a network configuration/],
    ["a list", "[]", 6, /no JSON object/],
    ["null", "null", 7, /missing network name/],
    ["two documents", `${JSON.stringify(FRESH)}{}`, 6, /as a network configuration/],
    ["a comment", `${JSON.stringify(FRESH)} // x`, 6, /as a network configuration/],
    ["10 MB of blanks", " ".repeat(10_000_000), 6, /more than \d+ bytes/],
    ["10 MB of digits", "7".repeat(10_000_000), 6, /more than \d+ bytes/],
  ] as [string, string, number, RegExp][]).map(([name, stdin, code, message]) => ({
    name,
    call: { stdin },
    code,
    message,
  })),
  { name: "10 MB of noise", call: { stdin: NOISE }, code: 6, message: /more than \d+ bytes/ },
  { name: "noise", call: { stdin: NOISE.subarray(0, 5000) }, code: 6, message: /not UTF-8/ },
]);

badInputTest("missing keys and variables", [
  ...["name", "bridge", "subnet", "gateway"].map((key) => ({
    name: `no ${key}`,
    call: { config: without(key) },
    code: 7,
    message: new RegExp(`missing network name|"${key}": it is missing`),
  })),
  ...["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"].map((key) => ({
    name: `no ${key}`,
    call: { config: FRESH, env: { [key]: "" } },
    code: 4,
    message: new RegExp(`required env variables \\[${key}\\] missing`),
  })),
]);

badInputTest(
  "malformed values",
  ([
    [{ cniVersion: "9.9.9" }, 1, /incompatible CNI versions/],
    [{ subnet: "10.88.0.0/33" }, 7, /subnet/],
    [{ subnet: "10.88.0.0/31" }, 7, /subnet.*too small/],
    [{ subnet: "0.0.0.0/0" }, 7, /subnet.*too large/],
    [{ subnet: "10.88.0.7/24" }, 7, /host bits are set; the network is 10\.88\.0\.0\/24/],
    [{ subnet: "fd00::/64" }, 7, /subnet.*IPv4 only/],
    [{ gateway: "10.88.0.01" }, 7, /gateway.*leading zero/],
    [{ gateway: "10.77.0.1" }, 7, /gateway.*outside the subnet/],
    [{ gateway: "10.88.0.0" }, 7, /gateway.*the network address/],
    [{ gateway: "10.88.0.255" }, 7, /gateway.*the broadcast address/],
    [{ gateway: 7 }, 7, /gateway 7/],
    ...[-1, 1500.5, 1e9, "big", 67].map((mtu) => [{ mtu }, 7, /mtu.*a whole number/]),
    [
      { ipam: { rangeStart: "10.88.0.20", rangeEnd: "10.88.0.10" } },
      7,
      /rangeEnd.*before the start/,
    ],
    [{ ipam: { rangeStart: "10.99.0.20", rangeEnd: "10.99.0.30" } }, 7, /rangeStart.*outside/],
    [{ ipam: { rangeStart: "10.88.0.20" } }, 7, /rangeEnd": it is missing/],
    [{ ipam: { routes: "all" } }, 7, /ipam\.routes/],
    [{ ipam: { routes: [{ dst: "10.0.0.1/8" }] } }, 7, /ipam\.routes\[0\]\.dst.*10\.0\.0\.0\/8/],
    [{ ipam: 7 }, 7, /ipam 7/],
    [{ ipam: { type: "dhcp" } }, 2, /ipam\.type/],
    [{ ipMasq: true }, 2, /ipMasq/],
    [{ vlan: 7 }, 2, /vlan/],
    [{ hairpinMode: "true" }, 7, /hairpinMode/],
    [{ hairpinMode: true, promiscMode: true }, 7, /can't have both/],
    [{ runtimeConfig: { ips: ["10.99.0.1"] } }, 102, /outside 10\.88\.0\.0\/24/],
    [{ runtimeConfig: { mac: "ff:ff:ff:ff:ff:ff" } }, 7, /multicast/],
  ] as [object, number, RegExp][]).map(([changes, code, message]) => ({
    name: JSON.stringify(changes),
    // An address that can't be given is known once the lease is asked for: the bridge stands then.
    call: { config: { ...(code === 102 ? CONFIG : FRESH), ...changes } },
    code,
    message,
  })),
);

badInputTest("names", [
  ...["../x", "-h", "x; reboot", "a".repeat(16), "%d", "a b", "a\tb", ""].flatMap((name) => {
    const long = name.length === 16;
    return [
      {
        name: `bridge "${name}"`,
        call: { config: { ...CONFIG, bridge: name } },
        code: 7,
        message: /bridge/,
      },
      ...(name === "" ? [] : [
        {
          name: `CNI_IFNAME "${name}"`,
          call: { config: FRESH, ifname: name },
          code: 4,
          message: /CNI_IFNAME/,
        },
      ]),
      ...(name === "" || long ? [] : [
        {
          name: `name "${name}"`,
          call: { config: { ...FRESH, name } },
          code: 7,
          message: /network name/,
        },
        {
          name: `CNI_CONTAINERID "${name}"`,
          call: { config: FRESH, id: name, netns: "c1" },
          code: 4,
          message: /containerID/,
        },
      ]),
    ];
  }),
  {
    name: "name of 201 bytes",
    call: { config: { ...FRESH, name: "a".repeat(201) } },
    code: 7,
    message: /201/,
  },
  {
    name: "CNI_ARGS",
    call: { config: FRESH, args: "IP=10.88.0.9;" },
    code: 4,
    message: /CNI_ARGS/,
  },
]);

badInputTest("folders", [
  {
    name: "dataDir by ..",
    call: { config: { ...FRESH, ipam: { dataDir: `${STATE_FOLDER}/../../../run/x` } } },
    code: 7,
    message: /ipam\.dataDir.*outside/,
  },
  {
    name: "dataDir elsewhere",
    call: { config: { ...FRESH, ipam: { dataDir: "/run/x" } } },
    code: 7,
    message: /ipam\.dataDir.*outside/,
  },
  {
    name: "dataDir by a symlink",
    prepare: `mkdir /run/elsewhere; ln -s /run/elsewhere ${STATE_FOLDER}/link`,
    call: { config: { ...FRESH, ipam: { dataDir: `${STATE_FOLDER}/link` } } },
    code: 5,
    message: /a symbolic link/,
    restore: 'test -z "$(ls -A /run/elsewhere)"',
  },
  {
    name: "dataDir below a symlink",
    call: { config: { ...FRESH, ipam: { dataDir: `${STATE_FOLDER}/link/below` } } },
    code: 5,
    message: /a symbolic link/,
    restore: `test -z "$(ls -A /run/elsewhere)"; rm ${STATE_FOLDER}/link`,
  },
  {
    name: "a full disk",
    prepare:
      `mkdir -m 700 ${STATE_FOLDER}/full; mount -t tmpfs -o size=16k,mode=0700 tmpfs ${STATE_FOLDER}/full
      cp -p ${STATE_FOLDER}/podnet.json ${STATE_FOLDER}/full/; : >${STATE_FOLDER}/full/podnet.lock
      cat /dev/zero >${STATE_FOLDER}/full/rest 2>/run/full || true`,
    call: { config: { ...CONFIG, ipam: { dataDir: `${STATE_FOLDER}/full` } } },
    code: 5,
    message: /No space left/,
    restore: `umount ${STATE_FOLDER}/full; rmdir ${STATE_FOLDER}/full`,
  },
], MODES);

badInputTest("namespaces", [
  ...[FRESH, CONFIG].flatMap((config) => [
    { name: "missing", call: { config, netns: "gone" }, code: 8, message: /CNI_NETNS/ },
    {
      name: "relative",
      call: { config, env: { CNI_NETNS: "c1" } },
      code: 8,
      message: /no absolute path/,
    },
    {
      name: "a plain file",
      prepare: "echo x >/run/plain",
      call: { config, netns: "/run/plain" },
      code: 8,
      message: /CNI_NETNS/,
    },
    { name: "a folder", call: { config, netns: "/run" }, code: 8, message: /CNI_NETNS/ },
    {
      name: "the host's own",
      call: { config, netns: "/proc/self/ns/net" },
      code: 8,
      message: /the plugin's own namespace/,
    },
    {
      name: "the host's own under another name",
      prepare: ": >/run/own; mount --bind /proc/self/ns/net /run/own",
      call: { config, netns: "/run/own" },
      code: 8,
      message: /the plugin's own namespace/,
      restore: "umount /run/own",
    },
  ]),
], MODES);

badInputTest("bridge and container", [
  {
    name: "a bridge that is a veth",
    prepare: "ip link add ve0 type veth peer name ve1",
    call: { config: { ...CONFIG, bridge: "ve0" } },
    code: 105,
    message: /"ve0" as the bridge: it is a veth/,
  },
  {
    name: "a bridge that is lo",
    call: { config: { ...CONFIG, bridge: "lo" } },
    code: 105,
    message: /"lo" as the bridge: it is an interface of another kind/,
  },
  {
    name: "a bridge with another address",
    call: { config: { ...CONFIG, subnet: "10.99.0.0/24", gateway: "10.99.0.1", name: "other" } },
    code: 105,
    message: /it has 10\.88\.0\.1\/24/,
  },
  {
    name: "an eth0 that is there",
    prepare: "ip -n c1 link add eth0 type veth peer name eth9",
    call: { config: FRESH },
    code: 103,
    message: /"eth0" in "\/run\/netns\/c1": an interface of that name exists/,
  },
  { name: "an eth0 beside the bridge", call: { id: "c1" }, code: 103, message: /exists there/ },
  {
    name: "a default route that is there",
    prepare: `ip -n c1 link set eth0 name other0; ip -n c1 addr add 10.99.0.2/24 dev other0
      ip -n c1 link set other0 up; ip -n c1 route add default via 10.99.0.1`,
    call: {},
    code: 100,
    message: /one via 10\.99\.0\.1 dev other0 is there already/,
  },
]);

badInputTest(
  "state files",
  ([
    ["empty", ": >$f", 104, /it is empty/],
    ["cut", "truncate -s 40 $f", 104, /state file/],
    ["noise", "head -c 300 /bin/sh >$f", 104, /state file/],
    ["zeros", "head -c 300 /dev/zero >$f", 104, /state file/],
    ["a list", "echo [] >$f", 104, /holds no object/],
    ["an empty object", "echo '{}' >$f", 104, /containerToIP is undefined/],
    ["wrong types", "sed -i 's/\"10.88.0.2\"/7/' $f", 104, /7/],
    ["half of a pair", `sed -i 's/"ipToContainer":{[^}]*}/"ipToContainer":{}/' $f`, 104, /nobody/],
    ["another subnet", "sed -i 's/10.88/10.99/g' $f", 104, /it holds 10\.99\.0\.2/],
    ["a newer schema", `sed -i 's/"schema":2/"schema":3/' $f`, 104, /schema 3/],
    ["a symlink", "rm $f; ln -s /run/save $f", 104, /no regular file/],
    ["a folder", "rm $f; mkdir $f", 104, /no regular file/],
    [
      "a lock that is a symlink",
      "rm podnet.lock; ln -s /run/victim podnet.lock",
      5,
      /a symbolic link/,
    ],
    [
      "a lock that is a hard link",
      ": >other; rm podnet.lock; ln other podnet.lock",
      5,
      /a hard link/,
    ],
  ] as [string, string, number, RegExp][]).map(([name, damage, code, message]) => ({
    name,
    prepare: `cd ${STATE_FOLDER}; cp podnet.json /run/save; f=podnet.json; ${damage}`,
    call: {},
    code,
    message,
    restore: `test ! -e /run/victim; cd ${STATE_FOLDER}; rm -rf podnet.json podnet.lock other
      cp -p /run/save podnet.json; : >podnet.lock; chmod 600 podnet.json podnet.lock`,
  })),
);
