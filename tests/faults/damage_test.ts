import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json, STATE_FOLDER } from "../integration/host.ts";
import { recordFault } from "./fault.ts";

const FILE = `${STATE_FOLDER}/podnet.json`;
const BYTES = new TextEncoder();

/** A damage to the file: new content from the old content, or a shell script. */
type Damage = ((text: string) => string | Uint8Array) | { readonly shell: string };

function changed(change: (state: Json) => void): Damage {
  return (text) => {
    const state: Json = JSON.parse(text);
    change(state);
    return JSON.stringify(state);
  };
}

const DAMAGES: Record<string, Damage> = {
  "zero length": () => "",
  "one byte": () => "{",
  "cut in the first key": (text) => text.slice(0, 5),
  "cut in the first map": (text) => text.slice(0, text.indexOf("containerToIP") + 25),
  "cut between the maps": (text) => text.slice(0, text.indexOf('"ipToContainer"')),
  "cut before the last brace": (text) => text.trimEnd().slice(0, -1),
  "the same number of NULs": (text) => new Uint8Array(text.length),
  "its second half NULs": (text) => text.slice(0, text.length / 2) + "\0".repeat(text.length / 2),
  "white space": () => "  \n",
  "its content twice": (text) => text + text,
  "not UTF-8": (text) => new Uint8Array([...BYTES.encode(text.slice(0, -3)), 0xff, 0xfe, 0x7d]),
  "a byte order mark": (text) => `\ufeff${text}`,
  "UTF-16": (text) => new Uint8Array([...text].flatMap((it) => [it.charCodeAt(0), 0])),
  "a list": () => "[]",
  "null": () => "null",
  "a string": () => '"podnet"',
  "an empty object": () => "{}",
  "a map is missing": changed((state) => delete state.ipToContainer),
  "a map is a list": changed((state) => state.containerToIP = []),
  "a map lost an entry": changed((state) => delete state.ipToContainer["10.86.0.2"]),
  "a map has one more": changed((state) => state.ipToContainer["10.86.0.9"] = "c9/eth0"),
  "the maps disagree": changed((state) => state.ipToContainer["10.86.0.2"] = "c9/eth0"),
  "an address twice": changed((state) => state.containerToIP["c9/eth0"] = "10.86.0.2"),
  "a key twice": (text) =>
    text.replace('"c1/eth0":"10.86.0.2"', '"c1/eth0":"10.86.0.2","c1/eth0":"10.86.0.9"'),
  "a whole map twice": (text) =>
    text.replace('"lastReserved"', '"ipToContainer":{},"lastReserved"'),
  "an address outside the subnet": changed((state) => {
    state.containerToIP["c9/eth0"] = "10.99.0.2";
    state.ipToContainer["10.99.0.2"] = "c9/eth0";
  }),
  "an invalid address": changed((state) => {
    state.containerToIP["c9/eth0"] = "10.86.0.300";
    state.ipToContainer["10.86.0.300"] = "c9/eth0";
  }),
  "an address with leading zeros": changed((state) => {
    state.containerToIP["c9/eth0"] = "10.86.0.010";
    state.ipToContainer["10.86.0.010"] = "c9/eth0";
  }),
  "an address that is a number": changed((state) => state.containerToIP["c1/eth0"] = 2),
  "lastReserved is an invalid address": changed((state) => state.lastReserved = "none"),
  "a record without an owner": changed((state) =>
    state.leases["c9/eth0"] = { since: "2026-01-01T00:00:00Z", hostMac: "fe:00:00:00:00:01" }
  ),
  "a record without its host MAC": changed((state) => delete state.leases["c1/eth0"].hostMac),
  "a record with guarded as text": changed((state) => state.leases["c1/eth0"].guarded = "yes"),
  "ranges without a subnet": changed((state) => state.ranges[0][0].subnet = "10.86.0.0"),
  "an invalid schema": changed((state) => state.schema = "2"),
  "nested 100,000 deep": () => "[".repeat(100_000) + "]".repeat(100_000),
  "1 GB": { shell: `truncate -s 1G ${FILE}` },
  "a folder": { shell: `rm ${FILE}; mkdir ${FILE}; echo keep >${FILE}/me` },
  "a symlink to nothing": { shell: `rm ${FILE}; ln -s /nowhere ${FILE}` },
  "a symlink out of the scope": {
    shell: `cp ${FILE} /run/outside; rm ${FILE}; ln -s /run/outside ${FILE}`,
  },
  "a FIFO": { shell: `rm ${FILE}; mkfifo ${FILE}` },
  "a device": { shell: `rm ${FILE}; mknod ${FILE} c 1 3` },
  "a file of another user": { shell: `chown 1000 ${FILE}` },
};

async function damageIt(host: Host, damage: Damage, text: string): Promise<void> {
  if (typeof damage === "object") await host.sh(damage.shell);
  else await host.run(["sh", "-c", `cat >${FILE}`], damage(text));
}

hostTest("damage: each is refused by name, and repair restores the leases", async (host) => {
  await host.containers("c1", "c2", "c3");
  await host.add({ id: "c1" });
  await host.add({ id: "c2" });
  const text = await host.sh(`cat ${FILE}`);
  const { containerToIP } = JSON.parse(text);
  for (const [name, damage] of Object.entries(DAMAGES)) {
    await host.sh(`rm -rf ${FILE}*`);
    await host.run(["tee", FILE], text);
    await damageIt(host, damage, text);
    const refused = await host.cni("ADD", { id: "c3" });
    assertEquals([refused.code, refused.json?.code], [1, 104], `${name}: ${refused.stdout}`);
    const named = name === "an address outside the subnet" ? '"podnet"' : FILE;
    assertStringIncludes(refused.json.msg, named, name);
    assertEquals((await host.hostVeths()).length, 2, name);
    assertEquals(await host.links(), [...await host.hostVeths(), CONFIG.bridge].sort(), name);
    const status = await host.cni("STATUS");
    assertEquals(status.json?.code, 50, `${name}: ${status.stdout}`);
    const repaired = await host.program(["repair", "--json"], JSON.stringify(CONFIG));
    assertEquals(repaired.code, 0, `${name}: ${repaired.stdout}${repaired.stderr}`);
    assertEquals(await host.leases(), containerToIP, name);
    assertEquals((await host.add({ id: "c3" })).ips[0].address, "10.86.0.4/24", name);
    await host.del({ id: "c3" });
    assert(await host.pings("c1", "10.86.0.3"), name);
  }
  recordFault({
    fault: "the state file damaged, each in another way",
    tries: Object.keys(DAMAGES).length,
    outcome:
      "ADD: code 104 that names the file, no address allocated; `repair` restores the leases",
  });
});

hostTest("damage: DEL removes the veth and reports that the lease stays", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c1" });
  await host.add({ id: "c2" });
  await host.sh(`: >${FILE}`);
  const { code, json } = await host.cni("DEL");
  assertEquals([code, json.code], [1, 104]);
  assertEquals((await host.hostVeths()).length, 1);
  await host.program(["repair"], JSON.stringify(CONFIG));
  assertEquals(await host.leases(), { "c2/eth0": "10.86.0.3" });
  for (const id of ["c1", "c2"]) await host.del({ id });
  await host.assertNothingLeft();
});

hostTest("damage: without a host veth the next ADD starts empty", async (host) => {
  await host.containers("c1");
  // A reboot after a lost write: no container exists, so no address is in use.
  const contents = ["", "{", '{"schema":3}', "\0".repeat(400)];
  for (const [n, text] of contents.entries()) {
    await host.run(["tee", FILE], text);
    assertEquals((await host.cni("STATUS")).code, 0, "an ADD could be served");
    const { code, json, stderr } = await host.cni("ADD");
    assertEquals([code, json.ips[0].address], [0, "10.86.0.2/24"], stderr);
    const kept = /started empty, the old file is kept as (\S+)/.exec(stderr)?.[1] ?? "nowhere";
    assertEquals(await host.sh(`cat ${kept}`), text);
    assertEquals((await host.files()).filter((it) => it.includes(".damaged-")).length, n + 1);
    await host.del();
    await host.assertNothingLeft();
  }
  // Something that the program never writes is refused, and stays where it is.
  for (const make of ["ln -s /run/elsewhere", "mkdir", "mkfifo", "truncate -s 1T"]) {
    await host.sh(`rm -rf ${FILE}* && ${make} ${FILE}`);
    const before = await host.sh(`stat -c '%i %F' ${FILE}`);
    const { code, json } = await host.cni("ADD");
    assertEquals([code, json.code], [1, 104], make);
    assertEquals((await host.cni("STATUS")).json.code, 50, make);
    assertEquals(await host.sh(`stat -c '%i %F' ${FILE}`), before, make);
  }
  await host.sh(`rm -rf ${FILE}*`);
  await host.assertNothingLeft();
  recordFault({
    fault: "the state file damaged, without a host veth",
    tries: contents.length,
    outcome: "the next ADD starts empty, keeps a backup and reports it",
  });
});

hostTest("damage: the state of a newer schema is refused, by repair too", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c1" });
  const text = (await host.sh(`cat ${FILE}`)).replace('"schema":3', '"schema":99');
  await host.run(["tee", FILE], text);
  for (const command of ["ADD", "STATUS"]) {
    const { json } = await host.cni(command, { id: "c2" });
    assertEquals(json.code, command === "ADD" ? 104 : 50);
    assertStringIncludes(json.msg, "schema 99");
  }
  const repaired = await host.program(["repair", "--json"], JSON.stringify(CONFIG));
  assert(repaired.code !== 0, repaired.stdout);
  assertEquals(await host.sh(`cat ${FILE}`), text, "it was rewritten");
});
