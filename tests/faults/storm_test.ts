import { assert, assertEquals } from "@std/assert";
import { type Answer, CONFIG, Host, type Json } from "../integration/host.ts";
import { recordFault } from "./fault.ts";
import { SIZE } from "../size.ts";
import { newRandom } from "../random.ts";
import { test } from "../both_errors.ts";
import { pause } from "../../lib/base/deadline.ts";
import { until } from "../until.ts";

const SECONDS = Number(Deno.env.get("FAULTS_STORM") ?? (SIZE === "full" ? 60 : 4));
const WORKERS = 16;
/** 10 addresses for 16 workers and for the leases of killed runs. */
const POOL = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.11" } };

/** A worker's record of its container. */
interface Worker {
  readonly id: string;
  result?: Json;
}

class Storm {
  readonly #host: Host;
  readonly #random: () => number;
  readonly #end = performance.now() + SECONDS * 1000;
  readonly #workers: readonly Worker[];
  /** The owner of each address, from the success of the ADD to the start of the DEL. */
  readonly #owners = new Map<string, string>();
  readonly count: Record<string, number> = {};
  #reboot: Promise<void> | undefined;
  #busy = 0;

  constructor(host: Host, random: () => number) {
    this.#host = host;
    this.#random = random;
    this.#workers = Array.from({ length: WORKERS }, (_, n) => ({ id: `w${n}` }));
  }

  async run(): Promise<void> {
    await this.#makeContainers();
    const all = this.#workers.map((worker) => this.#work(worker));
    await Promise.all([...all, this.#reboots()]);
    for (const worker of this.#workers) await this.#del(worker);
    await this.#must("GC", this.#cni("GC", "w0", { "cni.dev/valid-attachments": [] }));
    await this.#host.assertNothingLeft();
  }

  async #makeContainers(): Promise<void> {
    const names = this.#workers.map(({ id }) => id).join(" ");
    await this.#host.sh(`for it in ${names}; do ip netns add $it; done`);
  }

  #cni(command: string, id: string, more: Json = {}, under: string[] = []): Promise<Answer> {
    this.count[command] = (this.count[command] ?? 0) + 1;
    const netns = id.split("-")[0] ?? id;
    return this.#host.cni(command, { id, netns, config: { ...POOL, ...more }, under });
  }

  async #must(what: string, running: Promise<Answer>): Promise<void> {
    const { code, stdout } = await running;
    assertEquals(code, 0, `${what}: ${stdout}`);
  }

  async #work(worker: Worker): Promise<void> {
    while (performance.now() < this.#end) {
      await this.#reboot;
      this.#busy++;
      try {
        await this.#step(worker);
      } finally {
        this.#busy--;
      }
    }
  }

  async #step(worker: Worker): Promise<void> {
    const dice = this.#random();
    if (worker.result === undefined) {
      if (dice < 0.6) await this.#add(worker);
      else if (dice < 0.8) await this.#killedAdd(worker);
      else if (dice < 0.9) await this.#del(worker);
      else await this.#must("GC without a list", this.#cni("GC", worker.id));
    } else if (dice < 0.5) await this.#del(worker);
    else if (dice < 0.7) await this.#addTwice(worker);
    else if (dice < 0.9) await this.#check(worker);
    else await this.#collect(worker);
  }

  async #add(worker: Worker): Promise<void> {
    const { code, json, stdout } = await this.#cni("ADD", worker.id);
    if (code !== 0) {
      // The pool is full, the lock is busy, or the interface of a killed run is still in the container.
      assert([11, 101, 103].includes(json?.code), `ADD ${worker.id}: ${stdout}`);
      this.count[`ADD: code ${json.code}`] = (this.count[`ADD: code ${json.code}`] ?? 0) + 1;
      if (json.code === 103) await this.#del(worker);
      return;
    }
    const address = json.ips[0].address;
    const other = this.#owners.get(address);
    assertEquals(
      other,
      undefined,
      `${address} was allocated to ${worker.id} while ${other} had it`,
    );
    this.#owners.set(address, worker.id);
    worker.result = json;
  }

  async #killedAdd({ id }: Worker): Promise<void> {
    const after = (this.#random() * 0.25).toFixed(3);
    const under = ["timeout", "--foreground", "-s", "KILL", after];
    const { code, json } = await this.#cni("ADD", id, {}, under);
    this.count["killed"] = (this.count["killed"] ?? 0) + Number(code === 137);
    // This address was not reported, so no worker has it.
    if (code === 0 || code === 124) assert(!this.#owners.has(json?.ips?.[0]?.address));
    if (this.#random() < 0.7) await this.#must(`DEL ${id}`, this.#cni("DEL", id));
  }

  async #addTwice(worker: Worker): Promise<void> {
    const { json, stdout } = await this.#cni("ADD", worker.id);
    assertEquals(json?.code, 103, stdout);
    await this.#undisturbed(worker);
  }

  async #check(worker: Worker): Promise<void> {
    await this.#must("CHECK", this.#cni("CHECK", worker.id, { prevResult: worker.result }));
  }

  /** Keeps the attachments of all workers, including those in progress. Removes attachments that no worker will delete. */
  async #collect({ id }: Worker): Promise<void> {
    const list = this.#workers.map((it) => ({ containerID: it.id, ifname: "eth0" }));
    await this.#must("GC", this.#cni("GC", id, { "cni.dev/valid-attachments": list }));
  }

  async #del(worker: Worker): Promise<void> {
    const { result } = worker;
    if (result !== undefined) {
      await this.#undisturbed(worker);
      this.#owners.delete(result.ips[0].address);
      delete worker.result;
    }
    await this.#must(`DEL ${worker.id}`, this.#cni("DEL", worker.id));
  }

  async #undisturbed({ id, result }: Worker): Promise<void> {
    const address = result.ips[0].address;
    assertEquals(await this.#host.addresses(id, "eth0"), [address], `${id} lost ${address}`);
  }

  /** Removes veths and namespaces and keeps the state, as a reboot does. */
  async #reboots(): Promise<void> {
    for (let n = 0; n < 3; n++) {
      await pause(SECONDS * 1000 / 4);
      const done = Promise.withResolvers<void>();
      this.#reboot = done.promise;
      await until("no worker is busy", () => this.#busy === 0, SECONDS + 60);
      await this.#host.sh(`for it in $(ip -o link show type veth | sed 's/^[0-9]*: //; s/[@:].*//')
        do ip link del dev $it; done; ip link del dev ${CONFIG.bridge} || :
        for it in $(ls /run/netns); do ip netns del $it; done`);
      await this.#makeContainers();
      this.#owners.clear();
      for (const worker of this.#workers) delete worker.result;
      this.count["reboot"] = (this.count["reboot"] ?? 0) + 1;
      this.#reboot = undefined;
      done.resolve();
    }
  }
}

test(`storm: ${WORKERS} workers, ${SECONDS} s`, async () => {
  await using host = await Host.create();
  const storm = new Storm(host, newRandom("storm"));
  try {
    await storm.run();
  } catch (error) {
    if (error instanceof Error) error.message += `\n${await host.report()}`;
    throw error;
  }
  const counted = Object.entries(storm.count).sort().map(([what, times]) => `${times} ${what}`);
  assert((storm.count["ADD"] ?? 0) > SECONDS, "hardly a storm");
  recordFault({
    fault: `a storm of ${WORKERS} workers for ${SECONDS} s on 10 addresses`,
    tries: counted.join(", "),
    outcome: "no address twice, no live attachment disturbed, nothing left",
  });
});
