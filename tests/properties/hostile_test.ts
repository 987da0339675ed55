import { assertEquals, assertMatch } from "@std/assert";
import { CONFIG, Host, type Json } from "../integration/host.ts";
import { test } from "../both_errors.ts";
import { type AddedAttachment, harmed } from "./harm.ts";
import { look } from "./world.ts";

const NETWORK = { ...CONFIG, macspoofchk: true };
const FOLDER = "/var/lib/atomicni";

/** Changes that the container "eve" makes in its own namespace; VETH and MAC are those of its neighbour "bob". */
const CHANGES: Readonly<Record<string, string>> = {
  "takes the neighbour's address": "ip addr flush dev eth0; ip addr add 10.86.0.2/24 dev eth0",
  "takes the neighbour's MAC": "ip link set dev eth0 address MAC",
  "names its interface like the neighbour's host veth":
    "ip link set dev eth0 down; ip link set dev eth0 name VETH",
  "sets the neighbour's alias": "ip link set dev eth0 alias 'podnet/bob/eth0'",
  "has a bridge and a veth of such names":
    "ip link add atomic0 type bridge; ip link add VETH master atomic0 type veth peer name other",
  "has neither interface nor address": "ip link del dev eth0",
};

/** What bob's neighbours may not change: his lease, host veth, address, MAC and guard; and what `list` says of him. */
async function complaint(change: string, wrong?: string): Promise<string | undefined> {
  await using host = await Host.create();
  const under = wrong === undefined ? [] : ["sh", "-c", wrong, "sh"];
  await host.containers("bob", "eve", "ann");
  const result = await host.add({ id: "bob", config: NETWORK });
  const [, veth, { mac }]: Json = result.interfaces;
  const before = await look(host);
  const bob: AddedAttachment = {
    ip: "10.86.0.2",
    mac,
    veth: veth.name,
    owner: "bob/eth0",
    index: before.links.find(({ ifname }) => ifname === veth.name)?.ifindex,
    result,
    guarded: true,
  };
  await host.add({ id: "eve", config: NETWORK });
  const script = change.replaceAll("VETH", veth.name).replaceAll("MAC", mac);
  await host.sh(`ip netns exec eve sh -c "${script}"`);

  const kept = { "cni.dev/valid-attachments": [{ containerID: "bob", ifname: "eth0" }] };
  const runs:
    readonly (readonly [string, () => Promise<{ code: number; stdout: string; json?: Json }>])[] = [
      [
        "CHECK",
        () => host.cni("CHECK", { id: "bob", config: { ...NETWORK, prevResult: result }, under }),
      ],
      ["list", () => host.program(["list", "--json"], JSON.stringify(NETWORK), {}, under)],
      ["repair", () => host.program(["repair", "--json"], JSON.stringify(NETWORK), {}, under)],
      ["ADD", () => host.cni("ADD", { id: "ann", config: NETWORK, under })],
      ["DEL", () => host.cni("DEL", { id: "eve", config: NETWORK, under })],
      ["GC", () => host.cni("GC", { config: { ...NETWORK, ...kept }, under })],
    ];
  for (const [what, run] of runs) {
    const answer = await run();
    // With exit status 1, `list` reports a stale lease and `repair` what it leaves to the operator.
    if (answer.code > (/^[lr]/.test(what) ? 1 : 0)) return `${what} ends with ${answer.stdout}`;
    const harm = harmed([bob], what, await look(host), { stderr: "", json: undefined, ...answer });
    if (harm !== undefined) return harm.kind;
    if (what !== "list") continue;
    const rows: Json[] = JSON.parse(answer.stdout).attachments;
    const [row] = rows.filter(({ containerId }) => containerId === "bob");
    if (row?.veth !== veth.name || row?.live !== true) return `list says ${JSON.stringify(row)}`;
  }
  return undefined;
}

for (const [what, change] of Object.entries(CHANGES)) {
  test(`a container that ${what} harms no other attachment`, async () => {
    assertEquals(await complaint(change), undefined);
  });
}

/** Programs that trust a container, the change that shows it, and the complaint. */
const TRUSTING: readonly (readonly [what: string, script: string, change: string, kind: RegExp])[] =
  [
    [
      "a program whose repair trusts containers more than the state",
      `case "$*" in *repair*) rm -f ${FOLDER}/podnet.json ;; esac; exec "$@"`,
      "takes the neighbour's address",
      /^repair ends with .*10\.86\.0\.2 is in two containers/,
    ],
    [
      "a program whose DEL decides by the inside of a container",
      `[ "$CNI_COMMAND" = DEL ] && for name in $(ip -n eve -o link | sed 's/^[0-9]*: //; s/[@:].*//'); do
      case $name in av*) ip link del dev "$name" 2>/dev/null ;; esac; done; exec "$@"`,
      "names its interface like the neighbour's host veth",
      /^DEL: the host veth of another attachment is gone/,
    ],
    [
      "a program whose DEL removes the guard of others",
      `"$@"; status=$?
    [ "$CNI_COMMAND" = DEL ] && ip neigh flush dev atomic0 nud permanent 2>/dev/null
    exit $status`,
      "has neither interface nor address",
      /^DEL: a guarded neighbour of another is gone/,
    ],
  ];

for (const [what, script, change, kind] of TRUSTING) {
  test(`${what} is found`, async () => {
    assertMatch(await complaint(CHANGES[change] ?? "", script) ?? "nothing", kind);
  });
}
