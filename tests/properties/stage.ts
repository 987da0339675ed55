import type { Answer, Host, Json } from "../integration/host.ts";
import { type AddedAttachment, harmed, misled } from "./harm.ts";
import { lost, type Run, twice } from "./invariants.ts";
import {
  CONTAINERS,
  HOSTILE,
  type Layout,
  neighbours,
  networkOf,
  networks,
  type Pool,
} from "./layouts.ts";
import { type Documents, ipOf, Memory } from "./memory.ts";
import { type Complaint, kindOf } from "./property.ts";
import { lookAround, type Scene } from "./scene.ts";
import type { Step } from "./scenario.ts";
import type { Actor } from "./vocabulary.ts";
import { look } from "./world.ts";

/** A host with two networks, and its views and reports. */
export class Stage {
  readonly host: Host;
  readonly networks: readonly [Json, Json];
  readonly memory: Memory;
  /** Each attachment whose ADD succeeded, until its DEL. */
  readonly attached = new Map<string, AddedAttachment>();
  readonly #under: readonly string[];
  readonly #count: (what: string) => void;
  #scene: Scene | undefined;

  constructor(
    host: Host,
    under: readonly string[],
    { layout, pool, actor }: {
      readonly layout: Layout;
      readonly pool: Pool;
      readonly actor: Actor;
    },
    count: (what: string) => void,
  ) {
    this.host = host;
    this.networks = networks(layout, pool);
    this.memory = new Memory(layout === "renamed", actor);
    this.#under = under;
    this.#count = count;
  }

  count(what: string): void {
    this.#count(what);
  }

  /** Runs the plugin for a container; `before` is the command that starts the program. */
  cni(
    command: string,
    who: number,
    more: Json = {},
    { before = [], ...call }: {
      readonly args?: string;
      readonly ifname?: string;
      readonly before?: readonly string[];
    } = {},
  ): Promise<Answer> {
    const id = CONTAINERS[who] ?? "k0";
    const config = { ...this.networks[networkOf(who)], ...more };
    const under = [...before, ...this.#under];
    return this.host.cni(command, { id, config, under, ...call });
  }

  /** Runs an operator's command for the container's network. */
  person(words: string, who: number, listing = ""): Promise<Answer> {
    const text = `${JSON.stringify(this.networks[networkOf(who)])}\n${listing}`;
    // `repair` prints for a person only what it changed or could not change.
    const isForPerson = this.memory.actor === "root" && words.startsWith("repair");
    const options = isForPerson || words === "metrics" ? [] : ["--json"];
    return this.host.program([...words.split(" "), ...options], text, {}, this.#under);
  }

  async look(): Promise<Scene> {
    return this.#scene = await lookAround(this.host);
  }

  /** The last view, if nothing happened since. */
  async before(): Promise<Scene> {
    return this.#scene ?? await this.look();
  }

  /** Something happened that no view has shown yet. */
  changed(): void {
    this.#scene = undefined;
  }

  /** STATUS and `doctor`, if anything happened since their last run. */
  async ask(who: number): Promise<Documents | undefined> {
    const network = networkOf(who);
    if (!this.memory.mustAsk(network)) return undefined;
    const documents = {
      status: await this.cni("STATUS", who),
      doctor: await this.person("doctor", who),
    };
    this.memory.noteDocuments(network, documents, await this.before());
    return documents;
  }

  /** Notes the addresses that an ADD reported: a complaint if another container has the first one. */
  note(who: number, added: Answer, scene: Scene, ifname = "eth0"): Complaint | undefined {
    if (added.code !== 0) return undefined;
    this.count("ADDs that work");
    const id = CONTAINERS[who] ?? "k0";
    const found = twice(this.memory, scene, id, added);
    const owner = `${id}/${ifname}`;
    const [, { name: veth }, { mac }] = added.json.interfaces;
    const index = scene.links.find((it) => it.ifname === veth)?.ifindex;
    const guarded = this.networks[networkOf(who)].macspoofchk === true;
    const rest = { result: added.json, ip: ipOf(added.json), mac, veth, index, guarded };
    this.attached.set(owner, { ...rest, owner });
    if (ifname === "eth0") this.memory.added(id, added.json);
    if (found?.isReported) this.count("second containers on an address, as reported before");
    return found?.complaint;
  }

  /** Something that a run took from a container that was not its target, or reported wrongly about it. */
  async harm(step: Step, what: string, run: Run): Promise<Complaint | undefined> {
    const { does, who } = step;
    const target = /^(add|del)/.test(does) ? CONTAINERS[who] ?? "" : "";
    if (this.memory.actor === "root") return lost(this.memory, what, target, run);
    const others = [...this.attached.values()].filter(({ owner }) =>
      !owner.startsWith(`${CONTAINERS[HOSTILE]}/`)
    );
    const world = await look(this.host);
    return harmed(others, what, world, run.answer) ?? misled(others, step, run.answer);
  }

  /** A runtime or an operator tries again: a run that fails again leaves no further file. */
  async again(run: () => Promise<Answer>, what: string): Promise<Complaint | undefined> {
    const once = await this.before();
    const { code, stdout } = await run();
    const { files } = await this.look();
    const further = files.filter((it) => !once.files.includes(it));
    if (code === 0 || files.length <= once.files.length) return undefined;
    const kind = `${what} that fails again leaves another file: ${kindOf(further[0] ?? "")}`;
    return { kind, about: `exit ${code}: ${stdout}\n${further.join(", ")}` };
  }

  /** Indexes of the network's containers without a host veth. */
  async idle(who: number): Promise<number[]> {
    const { seats } = await this.before();
    return neighbours(who).filter((id) => seats.get(id)?.outer === undefined)
      .map((id) => CONTAINERS.indexOf(id as "k0"));
  }
}
