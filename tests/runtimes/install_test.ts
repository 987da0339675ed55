import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import type { Json } from "../integration/host.ts";
import { BINARY, nodeTest } from "./node.ts";
import { ATOMICNI, NETWORK } from "./conflist.ts";

const CHECKOUT = fromFileUrl(new URL("../../", import.meta.url));
const INSTALL = `sh ${CHECKOUT}tools/install`;
const FOLDER = "/opt/cni/bin";
const CONFIG = JSON.stringify({ cniVersion: "1.1.0", name: NETWORK, ...ATOMICNI });
const OWN = "/opt/cni/libexec/atomicni/deno";

/** A script form that names `deno`; `"$0"` is the program's text. */
function scriptOf(deno: string): string {
  return `printf '%s\\n' '#!/bin/sh' '":" //; n="${deno}"; exec /usr/bin/env -i "$n" run -q "$0" "$@"' >/opt/form.js`;
}

/** A Deno in /opt/safe, which only root can change, and one in /opt/user, a folder of user 1000. */
const DENOS = `
for folder in safe user; do mkdir -p /opt/$folder && echo '#!/bin/sh' >/opt/$folder/deno && chmod 755 /opt/$folder/deno; done
chown 1000 /opt/user`;

/**
 * Ways for another user to change what root runs, below /opt: the preparation, the Deno that the script names, and the
 * start of the complaint.
 */
const OPEN: readonly [name: string, prepare: string, deno: string, found: string][] = [
  ["a user's Deno", "chown 1000 safe/deno", "safe/deno", "safe/deno"],
  ["a Deno that its group may write to", "chmod 775 safe/deno", "safe/deno", "safe/deno"],
  ["a Deno that everybody may write to", "chmod 757 safe/deno", "safe/deno", "safe/deno"],
  ["root's Deno in a user's folder", ":", "user/deno", "user (owner and mode 1000"],
  [
    "root's Deno below a user's folder",
    "mkdir user/b; mv user/deno user/b/",
    "user/b/deno",
    "user (",
  ],
  ["a folder for everybody", "chmod 1777 safe", "safe/deno", "safe (owner and mode"],
  ["a link to it", "ln -s ../user/deno safe/link", "safe/link", "user ("],
  ["a link to its folder", "ln -s /opt/user safe/in", "safe/in/deno", "user ("],
  ["a user's link", "ln -s deno safe/l; chown -h 1000 safe/l", "safe/l", "safe/l ("],
  ["a link in a user's folder", "ln -s ../safe/deno user/l", "user/l", "user ("],
  ["a path with ..", ":", "user/../safe/deno", "user ("],
];

nodeTest("a script form is refused if users other than root can change its Deno", async (node) => {
  for (const [name, prepare, deno, found] of OPEN) {
    await node.sh(`rm -rf /opt/safe /opt/user ${FOLDER}/.atomicni-*; rm -f ${FOLDER}/atomicni`);
    await node.sh(`${DENOS}\ncd /opt; ${prepare}\n${scriptOf(`/opt/${deno}`)}`);
    const { code, stderr } = await node.run(["sh", "-c", `${INSTALL} /opt/form.js ${FOLDER}`]);
    assertEquals(code, 1, name);
    assertStringIncludes(stderr, `/opt/${found}`, name);
    assertMatch(stderr, /sh tools\/install --deno \/opt\/form\.js \/opt\/cni\/bin\n$/);
    assertEquals(await node.sh(`find ${FOLDER} -name '*atomicni*'`), "", name);

    await node.sh(`${INSTALL} --deno /opt/form.js ${FOLDER}`);
    assertStringIncludes(await node.sh(`cat ${FOLDER}/atomicni`), `n="${OWN}"; `);
    assertEquals(await node.sh(`stat -c '%a %u' ${OWN}`), "755 0\n", name);
  }
});

nodeTest(
  "a script form with root's Deno is installed, also into another root folder",
  async (node) => {
    await node.sh(`${DENOS}\n${scriptOf("/opt/safe/deno")}\n${INSTALL} /opt/form.js ${FOLDER}`);
    assertStringIncludes(await node.sh(`cat ${FOLDER}/atomicni`), 'n="/opt/safe/deno"; ');

    const into = `DESTDIR=/opt/system ${INSTALL}`;
    const missing = await node.run(["sh", "-c", `${into} /opt/form.js /opt/system${FOLDER}`]);
    assertEquals(missing.code, 1);
    assertStringIncludes(missing.stderr, "/opt, which is missing");

    // An absolute link starts at the root of that system.
    await node.sh(`mkdir -p /opt/system/opt && ln -s /usr/lib/deno /opt/system/opt/safe
    mkdir -p /opt/system/usr/lib/deno && cp /opt/safe/deno /opt/system/usr/lib/deno/
    ${into} /opt/form.js /opt/system${FOLDER} && test -L /opt/system${FOLDER}/atomicni`);
    await node.sh(`${into} --deno /opt/form.js /opt/system${FOLDER} && test -x /opt/system${OWN}`);
    assertStringIncludes(await node.sh(`cat /opt/system${FOLDER}/atomicni`), `n="${OWN}"; `);
  },
);

nodeTest(
  "the script form works with its own Deno after the build's Deno is removed",
  async (node) => {
    const isScript = BINARY.endsWith(".js");
    assert(isScript, `this suite runs the script form, not ${BINARY}`);
    await node.sh(`rm ${FOLDER}/atomicni
    named=$(sed -n '2s|.* n="\\([^"]*\\)"; .*|\\1|p' ${BINARY})
    mkdir /opt/cache && cp "$named" /opt/cache/deno && chown 1000 /opt/cache
    sed "2s|\\"$named\\"|\\"/opt/cache/deno\\"|" ${BINARY} >/opt/form.js && chmod 755 /opt/form.js
    ${INSTALL} --deno /opt/form.js ${FOLDER}
    rm -r /opt/cache`);
    assertStringIncludes(
      await node.sh(`CNI_COMMAND=VERSION ${FOLDER}/atomicni </dev/null`),
      '"supportedVersions"',
    );
  },
);

nodeTest("doctor reports who else can change the script form's Deno", async (node) => {
  const PLUGIN = `${FOLDER}/atomicni`;
  const withDeno = (deno: string) =>
    node.sh(`mkdir -p /opt/safe /opt/user && cd /opt
      named=$(sed -n '2s|.* n="\\([^"]*\\)"; .*|\\1|p' ${BINARY})
      cp "$named" safe/deno && cp "$named" user/deno && chown 1000 user && ln -sfn user open
      rm -f ${PLUGIN} && sed "2s|$named|${deno}|" ${BINARY} >${PLUGIN} && chmod 755 ${PLUGIN}`);
  const examined = async (): Promise<Json[]> => {
    const { stdout } = await node.run(["sh", "-c", `echo '${CONFIG}' | ${PLUGIN} doctor --json`]);
    return JSON.parse(stdout).findings.filter(({ about }: Json) => about === "deno");
  };
  for (const deno of ["/opt/user/deno", "/opt/open/deno"]) {
    await withDeno(deno);
    const [it, ...more] = await examined();
    assertEquals([it.level, more], ["error", []], deno);
    assertMatch(it.found, /^users other than root can change "drwx\S+ \S+ \S+ user"/);
    assertStringIncludes(it.remedy, "tools/install --deno");
  }
  await withDeno("/opt/safe/deno");
  assertEquals(await examined(), []);
});

nodeTest(
  "make install under umask 077: others can reach the program, not the state",
  async (node) => {
    const make = "make -s -o bin/atomicni -C";
    await node.sh(`umask 077; ${make} ${CHECKOUT} install PREFIX=/usr/cni DESTDIR=/opt/system`);
    assertEquals(
      await node.sh(`cd /opt/system && stat -c '%a %n' usr usr/cni usr/cni/bin var var/lib/atomicni
      stat -L -c %a usr/cni/bin/atomicni`),
      "755 usr\n755 usr/cni\n755 usr/cni/bin\n755 var\n700 var/lib/atomicni\n755\n",
    );
  },
);
