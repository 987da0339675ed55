import { CONFIG } from "../integration/host.ts";

/** A mark of an attachment that was never added: only its own DEL removes it. */
export const LEFT_MARK = `.${CONFIG.name}.av0123456789abc.add`;
/** Patterns of the files in the state folder, and the name of a file that a killed run may have left. */
export const FILES: Readonly<Record<string, readonly [pattern: string, left?: string]>> = {
  state: [`${CONFIG.name}.json`],
  lock: [`${CONFIG.name}.lock`],
  marks: [`.${CONFIG.name}.*.add`, LEFT_MARK],
  temporaries: [`.${CONFIG.name}.*.tmp`, `.${CONFIG.name}.0123456789abcdef.tmp`],
  backups: [`${CONFIG.name}.json.damaged-*`, `${CONFIG.name}.json.damaged-20260101T000000.000Z`],
};

/** Puts the state folder and its copies on one file system, so that a copy can be a link or be moved. */
export const DISK = "/run/disk";
/** The places of copies: another file system, or hard links on the same one. */
const SAVED = "/run/saved";
const LINKED = `${DISK}/saved`;

/** Shell lines for the file `$f` and its copy `$c`. */
export const OPERATIONS: Readonly<Record<string, string>> = {
  remove: 'rm -rf "$f"',
  move: 'mv "$f" "$f.moved"',
  truncate: 'truncate -s -90 "$f"',
  empty: ': >"$f"',
  "replace with cp": 'cp -r "$c" "$f"',
  "replace with cp -a": 'cp -a "$c" "$f"',
  "replace with rm and cp -a": 'rm -rf "$f"; cp -a "$c" "$f"',
  "replace with mv": 'mv -f "$c" "$f"',
  "replace as rsync does": 'cp -a "$c" "$f.new" && mv -f "$f.new" "$f"',
  "replace by a hard link": 'ln -f "$c" "$f"',
  touch: 'touch "$f"',
  "link to": 'ln "$f" "$f.link"',
  "put a symbolic link": 'mv "$f" /run/linked && ln -s /run/linked "$f"',
  "put a folder": 'rm -f "$f" && mkdir "$f"',
  "set the mode": 'chmod 666 "$f"',
  "set the owner": 'chown 1000 "$f"',
  "make immutable": 'chattr +i "$f"',
};
/**
 * The lock is copied, because it is written in place, and a link to it would change too. A ctime has whole seconds:
 * a copy that is restored within the second of its last write can't be recognized. So the script waits for the next one.
 */
const keep = (folder: string, how: string) =>
  `rm -rf ${SAVED} ${LINKED}; mkdir ${folder}; cp -a *.lock .[a-z]*.add ${folder}
  cp ${how} *.json* ${folder}
  now=$(date +%s); while [ "$(date +%s)" = "$now" ]; do sleep 0.05; done`;
/** Sets `$saved` to the folder of the last copy. */
export const FIND_SAVED = `saved=${SAVED}; [ -d $saved ] || saved=${LINKED}`;
/** Changes to the folder as a whole. */
export const FOLDER_OPERATIONS: Readonly<Record<string, string>> = {
  "keep a copy": keep(SAVED, "-a"),
  "keep a copy of hard links": keep(LINKED, "-al"),
  remove: "find . -mindepth 1 -maxdepth 1 -not -name .deno -exec rm -rf {} +",
  move: "mkdir -p /run/moved && mv *.json *.lock .[a-z]*.add /run/moved/",
  "replace with cp": "cp -r $saved/* .",
  "replace with cp -a": "cp -a $saved/* .",
  "replace with rm and cp -a": "rm -f *; cp -a $saved/* .",
  "replace as rsync does": 'for f in $saved/*; do cp -a "$f" .new && mv -f .new "${f##*/}"; done',
  "set the mode": "chmod 777 .; chmod 666 *",
  "set the owner": "chown 1000 . *",
  "make immutable": "chattr +i .",
};
/** Attributes of the disk on which the folder is. They stay until they are changed again. */
export const DISK_OPERATIONS: Readonly<Record<string, string>> = {
  fill: "for b in 64k 1k; do dd if=/dev/zero of=filler.$b bs=$b || :; done; sync -f .",
  free: "rm -f filler.*",
  "make read-only": `mount -o remount,ro ${DISK}`,
  "make writable": `mount -o remount,rw ${DISK}`,
};
const replaced = (from: string, to: string) => `sed -i 's#${from}#${to}#g' "$f"`;
/** A key of the state file that is not an owner. */
export const NO_OWNER = "web server/eth0";
/** `sed` on the state, in place or with a new inode, as editors do it. `$id`, `$ip`: a container and its address. */
export const EDITS: Readonly<Record<string, string>> = {
  "drop a lease":
    `sed -i "s#\\"$id/eth0\\":\\(\\"[^\\"]*\\"\\|{[^}]*}\\),\\?##g; s#\\"$ip\\":\\(\\"[^\\"]*\\"\\|{[^}]*}\\),\\?##g; s#,}#}#g" "$f"`,
  "drop a lease from one map": 'sed -i "s|\\"[0-9.]*\\":\\"$id/eth0\\",\\?||; s|,}|}|g" "$f"',
  "change an address in one map":
    'sed -i "s|\\"$id/eth0\\":\\"[^\\"]*\\"|\\"$id/eth0\\":\\"10.86.0.5\\"|" "$f"',
  "move the cursor": replaced('"lastReserved":"[^"]*"', '"lastReserved":"10.86.0.2"'),
  "name no owner": `sed -i "s#\\"$id/eth0\\"#\\"${NO_OWNER}\\"#g" "$f"`,
  "raise the schema": replaced('"schema":3', '"schema":99'),
  "lower the schema": replaced('"schema":99', '"schema":3'),
};

/** Removes every obstacle in the state folder that a DEL can't remove. */
export const CLEAR =
  `mount -o remount,rw ${DISK}; cd ${DISK}/state; chattr -i . ./* .[a-z]*; rm -f filler.* ./*.link
  chown root . ./*; chmod 700 .; chmod 600 ./*.json ./*.lock; find . -type l -delete
  for f in *.lock; do mv "$f" f && cp f "$f" && rm f; done
  rmdir ./*.json ./*.lock .[a-z]*.tmp .[a-z]*.add; ip link set dev ${CONFIG.bridge} up`;
