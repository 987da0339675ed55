import { CONFIG } from "./host.ts";
import { badInputTest, FRESH } from "./refusal.ts";

const NOISE = new Uint8Array(10_000_000).map((_, i) => (i * 7919 + (i >> 8)) % 256);

function without(key: string): object {
  return Object.fromEntries(Object.entries(FRESH).filter(([it]) => it !== key));
}

badInputTest("stdin", [
  ...([
    ["empty", "", 6, /it is empty/],
    ["cut", "{", 6, /as a network configuration/],
    ["a list", "[]", 6, /not a JSON object/],
    ["null", "null", 7, /missing network name/],
    ["two documents", `${JSON.stringify(FRESH)}{}`, 6, /as a network configuration/],
    ["a byte order mark", `\ufeff${JSON.stringify(FRESH)}`, 6, /begins with a byte order mark/],
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
  // The program reads short and long text in different ways.
  ...[5000, 2049, 2048, 500].map((length) => ({
    name: `${length} bytes of noise`,
    call: { stdin: NOISE.subarray(0, length) },
    code: 6,
    message: /not UTF-8/,
  })),
  ...[0, 3000].map((more) => ({
    name: `a word that is not ASCII, with ${more} more bytes`,
    call: { config: { ...FRESH, gateway: "Ünïcode…🌉", padding: "x".repeat(more) } },
    code: 7,
    message: /gateway "Ünïcode…🌉"/,
  })),
]);

badInputTest("what no runtime sends", [
  {
    name: "a variable that is not UTF-8",
    call: { config: FRESH, under: ["sh", "-c", `CNI_ARGS=$(printf '\\377') exec "$@"`, "sh"] },
    code: 4,
    message: /CNI_ARGS as text: it is not UTF-8; set CNI_ARGS to UTF-8/,
  },
  {
    name: "a folder as stdin",
    call: { under: ["sh", "-c", 'exec "$@" </', "sh"] },
    code: 5,
    message: /Cannot read stdin: .*; give the configuration as a file/,
  },
]);

badInputTest("missing keys and variables", [
  ...["name", "bridge", "subnet", "gateway"].map((key) => ({
    name: `no ${key}`,
    call: { config: without(key) },
    code: 7,
    message: new RegExp(`missing network name|"${key}" is required`),
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
    [{ subnet: "10.86.0.0/33" }, 7, /subnet/],
    [{ subnet: "10.86.0.0/31" }, 7, /subnet.*too small/],
    [{ subnet: "0.0.0.0/0" }, 7, /subnet.*too large/],
    [{ subnet: "10.86.0.7/24" }, 7, /host bits are set; the network is 10\.86\.0\.0\/24/],
    [{ subnet: "fd00::/64" }, 7, /subnet.*it is of IPv6/],
    [{ gateway: "10.86.0.01" }, 7, /gateway.*leading zero/],
    [{ gateway: "10.77.0.1" }, 7, /gateway.*outside the subnet/],
    [{ gateway: "10.86.0.0" }, 7, /gateway.*the network address/],
    [{ gateway: "10.86.0.255" }, 7, /gateway.*the broadcast address/],
    [{ gateway: 7 }, 7, /gateway 7/],
    ...[-1, 1500.5, 1e9, "big", 67].map((mtu) => [{ mtu }, 7, /mtu.*a whole number/]),
    [
      { ipam: { rangeStart: "10.86.0.20", rangeEnd: "10.86.0.10" } },
      7,
      /rangeEnd.*before the start/,
    ],
    [{ ipam: { rangeStart: "10.99.0.20", rangeEnd: "10.99.0.30" } }, 7, /rangeStart.*outside/],
    [{ ipam: { rangeStart: "10.86.0.20" } }, 7, /rangeEnd" is required/],
    [{ ipam: { routes: "all" } }, 7, /ipam\.routes/],
    [{ ipam: { routes: [{ dst: "10.0.0.1/8" }] } }, 7, /ipam\.routes\[0\]\.dst.*10\.0\.0\.0\/8/],
    [{ ipam: 7 }, 7, /ipam 7/],
    [{ ipam: { type: "dhcp" } }, 2, /ipam\.type/],
    [{ ipMasq: true }, 2, /ipMasq/],
    [{ vlan: 7 }, 2, /vlan/],
    [{ hairpinMode: "true" }, 7, /hairpinMode/],
    [{ hairpinMode: true, promiscMode: true }, 7, /can't have both/],
    [{ runtimeConfig: { ips: ["10.99.0.1"] } }, 102, /outside 10\.86\.0\.0\/24/],
    [{ runtimeConfig: { mac: "ff:ff:ff:ff:ff:ff" } }, 7, /multicast/],
  ] as [object, number, RegExp][]).map(([changes, code, message]) => ({
    name: JSON.stringify(changes),
    // A requested address can only be refused once the lease is reserved: by then the bridge exists.
    call: { config: { ...(code === 102 ? CONFIG : FRESH), ...changes } },
    code,
    message,
  })),
);

badInputTest("names", [
  ...["../x", "-h", "x; reboot", "a".repeat(16), "%d", "a b", "a\tb", 'a"b', "a#b", "b\\", ""]
    .flatMap((name) => {
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
    call: { config: FRESH, args: "IP=10.86.0.9;" },
    code: 4,
    message: /CNI_ARGS/,
  },
]);
