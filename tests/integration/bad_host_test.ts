import { CONFIG, MODES, STATE_FOLDER } from "./host.ts";
import { badInputTest, FRESH } from "./refusal.ts";

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
    name: "dataDir is a file",
    prepare: `: >${STATE_FOLDER}/plain`,
    call: { config: { ...FRESH, ipam: { dataDir: `${STATE_FOLDER}/plain` } } },
    code: 5,
    message: /it is not a folder/,
    restore: `rm ${STATE_FOLDER}/plain`,
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

badInputTest("resolv.conf", [
  ...([
    ["a link out of the scope", "ln -s /etc/passwd resolv", /"\S+resolv".*not a regular file/],
    ["a link above it", "ln -s /etc resolv", /"\S+resolv".*not a regular file/, "/passwd"],
    ["a folder", "mkdir resolv", /not a regular file/],
    ["too large", "head -c 65537 /dev/zero >resolv", /it has 65537 bytes/],
  ] as [string, string, RegExp, string?][]).map(([name, make, message, below = ""]) => ({
    name,
    prepare: `cd ${STATE_FOLDER}; ${make}`,
    call: { config: { ...FRESH, ipam: { resolvConf: `${STATE_FOLDER}/resolv${below}` } } },
    code: 5,
    message,
    restore: `rm -r ${STATE_FOLDER}/resolv`,
  })),
]);

badInputTest("namespaces", [
  ...[FRESH, CONFIG].flatMap((config) => [
    { name: "missing", call: { config, netns: "gone" }, code: 8, message: /CNI_NETNS/ },
    {
      name: "relative",
      call: { config, env: { CNI_NETNS: "c1" } },
      code: 8,
      message: /not an absolute path/,
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
      name: "the host's own namespace under another name",
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
    message: /it has 10\.86\.0\.1\/24/,
  },
  {
    name: "an existing eth0",
    prepare: "ip -n c1 link add eth0 type veth peer name eth9",
    call: { config: FRESH },
    code: 103,
    message: /"eth0" in "\/run\/netns\/c1": an interface of that name exists/,
  },
  {
    name: "an existing eth0, and the bridge exists",
    call: { id: "c1" },
    code: 103,
    message: /exists there/,
  },
  {
    name: "an existing default route",
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
    ["a list", "echo [] >$f", 104, /not a JSON object/],
    ["an empty object", "echo '{}' >$f", 104, /containerToIP is undefined/],
    ["wrong types", `sed -i 's/"n1\\/eth0":"10.86.0.2"/"n1\\/eth0":7/' $f`, 104, /which has 7/],
    [
      "one half of a veth pair",
      `sed -i 's/"ipToContainer":{[^}]*}/"ipToContainer":{}/' $f`,
      104,
      /says otherwise/,
    ],
    ["another subnet", "sed -i 's/10.86/10.99/g' $f", 104, /it holds 10\.99\.0\.2/],
    ["a newer schema", `sed -i 's/"schema":3/"schema":4/' $f`, 104, /schema 4/],
    ["a symlink", "rm $f; ln -s /run/save $f", 104, /not a regular file/],
    ["a folder", "rm $f; mkdir $f", 104, /not a regular file/],
    ["another user's", "chown 65534 $f", 104, /it belongs to user 65534/],
    [
      "a lock file that is a symlink",
      "rm podnet.lock; ln -s /run/victim podnet.lock",
      5,
      /a symbolic link/,
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
