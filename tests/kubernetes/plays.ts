import type { Json } from "../integration/host.ts";
import type { Random } from "../random.ts";
import { Broken, edit, type Life } from "./life.ts";

/** An event on a node; the state after it is then checked. */
export interface Play {
  readonly name: string;
  readonly may: (life: Life) => boolean;
  readonly play: (life: Life, random: Random) => Promise<void>;
}

const always = () => true;
const isRunning = (life: Life) => life.pod !== undefined;

/** The DaemonSet exists, its pod runs, and nobody removes it: it stays installed, whatever the API answers. */
async function stays(life: Life): Promise<void> {
  if (await life.conflist() === undefined) throw new Broken("the installation is gone");
}

const upgrade = (documents: Json[]) =>
  edit(documents, (list) => list.plugins[0].hairpinMode = !list.plugins[0].hairpinMode);

const broken: readonly [name: string, change: (documents: Json[]) => void][] = [
  ["a missing comma", (documents) => {
    for (const { data } of documents) {
      if (data?.conflist !== undefined) data.conflist = data.conflist.replace(",", "");
    }
  }],
  ["a missing plugin", (documents) => {
    edit(documents, (list) => list.plugins.push({ type: "nowhere" }));
  }],
  ["no masquerading and an impossible bridge", (documents) => {
    for (const { data } of documents) if (data?.direct !== undefined) data.direct = "none";
    edit(documents, (list) => list.plugins[0].bridge = "a/b");
  }],
];

const FAULTS = ["status 401", "status 403", "status 404", "status 410", "status 500", "truncated"];

export const PLAYS: readonly Play[] = [
  {
    name: "install or upgrade",
    may: always,
    play: async (life, random) => {
      await life.apply(...random.chance(0.5) ? [upgrade] : []);
      await life.installed();
    },
  },
  {
    name: "a pod comes",
    may: isRunning,
    play: async (life) => void await life.attach(),
  },
  {
    name: "a pod goes",
    may: (life) => life.attached.length > 0,
    play: async (life, random) => await life.detach(random.one(life.attached)),
  },
  {
    name: "two installations at once",
    may: isRunning,
    play: async (life) => {
      const documents = await life.documents();
      await life.kubelet.start(documents);
      const last = await life.kubelet.start(documents);
      const running = life.kubelet.pods.filter(({ isEnding }) => !isEnding);
      await life.node.until("a pod has the node", async () => {
        const ready = await Promise.all(running.map((it) => life.kubelet.isReady(it)));
        return ready.includes(true) ? true : undefined;
      }, 60);
      await life.kubelet.replace(...running.filter((it) => it !== last));
      await life.installed();
    },
  },
  {
    name: "the installer is killed",
    may: isRunning,
    play: async (life, random) => {
      const pod = life.pod;
      if (pod === undefined) return;
      const upgraded = life.apply(upgrade);
      await new Promise((resume) => setTimeout(resume, random.between(0, 1500)));
      await life.kubelet.kill(pod);
      await upgraded;
      await new Promise((resume) => setTimeout(resume, random.between(0, 1500)));
      if (life.pod !== undefined) await life.kubelet.kill(life.pod);
      await life.installed();
    },
  },
  {
    name: "an impossible configuration",
    may: isRunning,
    play: async (life, random) => {
      const before = JSON.stringify(await life.conflist());
      const [name, change] = random.one(broken);
      await life.apply(change);
      await new Promise((resume) => setTimeout(resume, 4000));
      const after = JSON.stringify(await life.conflist());
      if (before !== after) throw new Broken(`a configuration with ${name} went live: ${after}`);
      await life.check(false);
      await life.apply();
      await life.installed();
    },
  },
  {
    name: "a replaced pod, and an API with a fault",
    may: isRunning,
    play: async (life, random) => {
      const fault = random.one(FAULTS);
      await life.kubelet.fault(fault);
      try {
        if (life.pod !== undefined) await life.kubelet.replace(life.pod);
        await life.kubelet.start(await life.documents());
        await stays(life);
      } finally {
        await life.kubelet.fault(undefined);
      }
      await life.installed();
    },
  },
  {
    name: "deleted, then applied again while it waits",
    may: (life) => isRunning(life) && life.attached.length > 0,
    play: async (life, random) => {
      const deleted = life.kubelet.delete(random.one(["foreground", "background"]));
      await new Promise((resume) => setTimeout(resume, random.between(500, 3000)));
      await life.apply();
      await life.installed();
      for (const id of life.attached) await life.detach(id);
      await deleted;
      await stays(life);
    },
  },
  {
    name: "deleted",
    may: isRunning,
    play: async (life, random) => {
      const deleted = life.kubelet.delete(random.one(["foreground", "background"]));
      for (const id of life.attached) await life.detach(id);
      await deleted;
      await life.nothingLeft();
      await life.apply();
      await life.installed();
    },
  },
  {
    name: "all rules are flushed",
    may: isRunning,
    play: async (life) => {
      await life.node.sh("nft flush ruleset");
      await settle();
    },
  },
  {
    name: "the conflist is deleted",
    may: isRunning,
    play: async (life) => {
      await life.node.sh("rm -f /etc/cni/net.d/10-atomicni.conflist");
      await settle();
      await stays(life);
    },
  },
  {
    name: "forwarding is disabled",
    may: isRunning,
    play: async (life) => {
      await life.node.sh("echo 0 >/proc/sys/net/ipv4/ip_forward");
      await life.node.until(
        "forwarding is on again",
        async () =>
          await life.node.quietly("cat /proc/sys/net/ipv4/ip_forward") === "1" || undefined,
        40,
      );
    },
  },
  {
    name: "another plugin's file",
    may: isRunning,
    play: async (life) => {
      await life.node.sh("echo '{}' >/etc/cni/net.d/99-other.conf");
      await settle();
    },
  },
  {
    name: "the power is cut",
    may: isRunning,
    play: async (life) => {
      await life.reboot(await life.documents());
      await life.installed();
    },
  },
];

/** Watched parts are restored at once; a loaded machine needs a moment. */
async function settle(): Promise<void> {
  await new Promise((resume) => setTimeout(resume, 3000));
}
