import { assertEquals } from "@std/assert";
import { STATE_FOLDER } from "../../../lib/base/scope.ts";
import { config, NET, refused } from "../../podnet.ts";

Deno.test("ipam.dataDir is the state folder or one below it, with .. folded", () => {
  const rows: [string, string][] = [
    ["", STATE_FOLDER],
    [`${STATE_FOLDER}/`, STATE_FOLDER],
    [`${STATE_FOLDER}/a/../b`, `${STATE_FOLDER}/b`],
    [`${STATE_FOLDER}//a/./b/`, `${STATE_FOLDER}/a/b`],
    [`/x/..${STATE_FOLDER}/a`, `${STATE_FOLDER}/a`],
    [`${STATE_FOLDER}/a.d`, `${STATE_FOLDER}/a.d`],
    [`${STATE_FOLDER}/json/lock`, `${STATE_FOLDER}/json/lock`],
  ];
  for (const [dataDir, folder] of rows) {
    assertEquals(config({ ...NET, ipam: { dataDir } }).dataDir, folder, dataDir);
  }
});

Deno.test("another folder, or a name that a file of this plugin may have, is refused", () => {
  const rows: [unknown, string][] = [
    ["/var/lib/other", `outside ${STATE_FOLDER}`],
    [`${STATE_FOLDER}/../x`, `outside ${STATE_FOLDER}`],
    ["var/lib/atomicni", `outside ${STATE_FOLDER}`],
    [`${STATE_FOLDER}x`, `outside ${STATE_FOLDER}`],
    [`${STATE_FOLDER}/a\0b`, `outside ${STATE_FOLDER}`],
    ["/", `outside ${STATE_FOLDER}`],
    [`${STATE_FOLDER}/.hidden`, '".hidden" begins with a dot'],
    [`${STATE_FOLDER}/a/.b/c`, '".b" begins with a dot'],
    [`${STATE_FOLDER}/podnet.json`, '"podnet.json" ends like a state or lock file'],
    [`${STATE_FOLDER}/podnet.lock/a`, '"podnet.lock" ends like a state or lock file'],
    [7, "ipam.dataDir 7"],
  ];
  const local = { type: "host-local", subnet: "10.9.0.0/16" };
  for (const [dataDir, message] of rows) {
    refused({ ...NET, ipam: { dataDir } }, 7, message);
    // A feature of host-local that this plugin lacks is "not supported"; a value that neither accepts is "wrong".
    const code = message.startsWith("outside") ? 2 : 7;
    refused({ name: "podnet", ipam: { ...local, dataDir } }, code, message);
  }
});

Deno.test("ipam.resolvConf is a file inside the permission scope", () => {
  const at = (resolvConf: unknown) => ({ ...NET, ipam: { resolvConf } });
  assertEquals(config(at("")).resolvConf, undefined);
  assertEquals(config(at(`${STATE_FOLDER}/a/../r.conf`)).resolvConf, `${STATE_FOLDER}/r.conf`);
  refused(at("/etc/resolv.conf"), 2, "ipam.resolvConf");
  refused(at(`${STATE_FOLDER}/../resolv.conf`), 2, "outside");
  refused(at(7), 7, "ipam.resolvConf 7");
});
