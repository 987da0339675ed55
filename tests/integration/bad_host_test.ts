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
