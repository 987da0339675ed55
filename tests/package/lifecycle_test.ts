import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CONFIG } from "../integration/host.ts";
import { ARCHITECTURE, Debian } from "./debian.ts";
import { test } from "../both_errors.ts";

const PROGRAM = "/usr/lib/cni/atomicni";
const CONFFILE = "/etc/sysctl.d/90-atomicni.conf";
const STATE = "/var/lib/atomicni";

test("install: the program answers, the state folder is root's alone, a container gets its network", async () => {
  await using debian = await Debian.create();
  await debian.install("1.0");
  const installed = `${PROGRAM} /usr/sbin/atomicni ${STATE} /etc/atomicni`;
  assertEquals(
    await debian.sh(`stat -L -c '%a %U %n' ${installed}`),
    `755 root ${PROGRAM}\n755 root /usr/sbin/atomicni\n700 root ${STATE}\n755 root /etc/atomicni\n`,
  );
  // tmpfiles creates its entries during the installation, not only at boot.
  await debian.sh("test -d /run/netns");
  await debian.container("c1");
  assertEquals(await debian.add("c1"), "10.86.0.2/24");
  assert(await debian.pings("c1", CONFIG.gateway));
  assertMatch(await debian.sh("atomicni list"), /c1.*10\.86\.0\.2.*live/);
  await debian.del("c1");
  await debian.sh(
    "ln -s /bin/true /usr/sbin/nft && systemd-analyze verify --man=no atomicni-rules@podnet.service",
  );
  await debian.dpkg("--verify", "atomicni");
});

test("install: without systemd's tmpfiles, the state folder is still created", async () => {
  await using debian = await Debian.create();
  await debian.sh("rm /usr/bin/systemd-tmpfiles");
  await debian.install("1.0");
  assertEquals(await debian.sh(`stat -c '%a %U' ${STATE}`), "700 root\n");
});

test("install: a running systemd is notified, and forwarding is on at once, as after a boot", async () => {
  await using debian = await Debian.create();
  await debian.sh("mkdir -p /run/systemd/system && echo 0 >/proc/sys/net/ipv4/ip_forward");
  await debian.install("1.0");
  assertEquals(await debian.sh("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
  // An upgrade leaves a setting alone that the administrator has changed since.
  await debian.sh("echo 0 >/proc/sys/net/ipv4/ip_forward");
  await debian.install("2.0");
  assertEquals(await debian.sh("cat /proc/sys/net/ipv4/ip_forward"), "0\n");
});

test("install: refused without iproute2, and on another architecture", async () => {
  await using debian = await Debian.create();
  await debian.sh("dpkg --purge --force-depends iproute2");
  const alone = await debian.run(["dpkg", "-i", `/mnt/atomicni_1.0_${ARCHITECTURE}.deb`]);
  assertEquals(alone.code, 1);
  assertStringIncludes(alone.stderr + alone.stdout, "atomicni depends on iproute2");
  const other = ARCHITECTURE === "amd64" ? "arm64" : "amd64";
  const foreign = await debian.run(["dpkg", "-i", `/mnt/atomicni_1.0_${other}.deb`]);
  assertEquals(foreign.code, 1);
  assertStringIncludes(foreign.stderr, `package architecture (${other}) does not match`);
});

test("upgrade and downgrade while containers come and go: no start fails, the live one keeps its network", async () => {
  await using debian = await Debian.create();
  await debian.install("1.0");
  for (const id of ["live", "a", "b"]) await debian.container(id);
  const address = await debian.add("live");
  const before = await debian.sh(`readlink ${PROGRAM}`);

  let done = false;
  let calls = 0;
  const storm = ["a", "b"].map(async (id) => {
    while (!done) {
      assert(await debian.add(id) !== address);
      await debian.del(id);
      calls += 2;
    }
  });
  const traffic = (async () => {
    while (!done) {
      assert(await debian.pings("live", CONFIG.gateway), "the live container is cut off");
    }
  })();
  const changes = (async () => {
    try {
      for (const version of ["2.0", "1.0", "2.0"]) await debian.install(version);
    } finally {
      done = true;
    }
  })();
  await Promise.all([changes, traffic, ...storm]);
  assert(calls >= 6, `only ${calls} calls`);

  const after = await debian.sh(`readlink ${PROGRAM}`);
  assert(before !== after, "the upgrade changed nothing");
  await debian.sh(`cmp ${PROGRAM} /usr/lib/atomicni/atomicni && cmp ${PROGRAM} /usr/sbin/atomicni`);
  assertEquals(
    await debian.sh("ls -A /usr/lib/cni | grep -c '^.atomicni-'"),
    "2\n",
    "the previous build stays",
  );
  assertMatch(await debian.sh("atomicni list"), /live.*10\.86\.0\.2/);
  await debian.del("live");
  assertEquals(await debian.sh("ip -o link show type veth"), "");
});

test("a failed upgrade leaves the previous version in use", async () => {
  await using debian = await Debian.create();
  await debian.install("1.0");
  await debian.sh(`
dpkg-deb -R /mnt/atomicni_2.0_${ARCHITECTURE}.deb /run/broken
printf '#!/bin/sh\\nexit 1\\n' >/run/broken/DEBIAN/preinst
chmod 755 /run/broken/DEBIAN/preinst
dpkg-deb -Znone -b /run/broken /run/broken.deb`);
  assertEquals((await debian.run(["dpkg", "-i", "/run/broken.deb"])).code, 1);
  assertEquals(
    await debian.sh("dpkg-query -W -f '${Status} ${Version}' atomicni"),
    "install ok installed 1.0",
  );
  await debian.container("c1");
  await debian.add("c1");
});

test("remove: configuration and state stay, also an edited file; a new installation continues with them", async () => {
  await using debian = await Debian.create();
  await debian.install("1.0");
  await debian.sh(`echo '# mine' >>${CONFFILE}; echo '# rules' >/etc/atomicni/podnet.nft`);
  await debian.container("c1");
  await debian.add("c1");
  await debian.install("2.0");
  assertMatch(await debian.sh(`cat ${CONFFILE}`), /# mine/);

  assertMatch(await debian.dpkg("-r", "atomicni"), /1 containers are attached/);
  assertMatch(await debian.sh(`cat ${CONFFILE}`), /# mine/);
  await debian.sh(`test -s ${STATE}/podnet.json && test -s /etc/atomicni/podnet.nft`);
  assertEquals(await debian.sh("ls -A /usr/lib | grep -x -e cni -e atomicni || :"), "");
  assert(await debian.pings("c1", CONFIG.gateway), "the live container is cut off");

  await debian.install("2.0");
  assertMatch(await debian.sh(`cat ${CONFFILE}`), /# mine/);
  await debian.container("c2");
  assertEquals(await debian.add("c2"), "10.86.0.3/24");
  for (const id of ["c1", "c2"]) await debian.del(id);
});

test("purge: asks nothing, says nothing, leaves nothing", async () => {
  await using debian = await Debian.create();
  const before = await debian.files();
  await debian.install("1.0");
  await debian.container("c1");
  await debian.add("c1");
  await debian.del("c1");
  await debian.sh(`
echo '# rules' >/etc/atomicni/podnet.nft
systemctl enable atomicni-rules@podnet.service
ip netns del c1`);
  const said = await debian.dpkg("--purge", "atomicni");
  assert(!/warning|attached/.test(said), said);
  assertEquals(await debian.files(), before);
});

test("purge with a live container: a warning, and its address is not allocated again", async () => {
  await using debian = await Debian.create();
  const before = await debian.files();
  await debian.install("1.0");
  await debian.container("c1");
  const address = await debian.add("c1");
  const [veth = ""] = (await debian.sh("ip -o link show type veth")).match(/av[0-9a-f]{13}/) ?? [];
  const said = await debian.dpkg("--purge", "atomicni");
  assertMatch(said, /warning: the leases of containers that are attached are gone/);
  // The alias names the veth's owner.
  assertMatch(said, new RegExp(`^  ${veth} .*c1`, "m"));
  assertEquals(await debian.files(), before);
  assert(await debian.pings("c1", CONFIG.gateway), "the live container is cut off");

  await debian.install("1.0");
  await debian.container("c2");
  const refused = await debian.cni("ADD", "c2");
  assertEquals(JSON.parse(refused.stdout).code, 104, refused.stdout);
  await debian.sh("atomicni repair", JSON.stringify(CONFIG));
  assert(await debian.add("c2") !== address);
});
