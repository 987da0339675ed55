import type { Answer, Host, Json } from "../integration/host.ts";
import { CONTAINERS, type Layout, neighbours, networkOf, networks, type Pool } from "./layouts.ts";
import { type Documents, Memory } from "./memory.ts";
import { twice } from "./oracles.ts";
import type { Complaint } from "./property.ts";
import { lookAround, type Scene } from "./scene.ts";

/** A host with two networks, and its views and reports. */
export class Stage {
  readonly host: Host;
  readonly networks: readonly [Json, Json];
  readonly memory: Memory;
  readonly #under: readonly string[];
  readonly #count: (what: string) => void;
  #scene: Scene | undefined;

  constructor(
    host: Host,
    under: readonly string[],
    { layout, pool }: { readonly layout: Layout; readonly pool: Pool },
    count: (what: string) => void,
  ) {
    this.host = host;
    this.networks = networks(layout, pool);
    this.memory = new Memory(layout === "renamed");
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
    { args, before = [] }: { readonly args?: string; readonly before?: readonly string[] } = {},
  ): Promise<Answer> {
    const id = CONTAINERS[who] ?? "k0";
    const config = { ...this.networks[networkOf(who)], ...more };
    const under = [...before, ...this.#under];
    return this.host.cni(command, { id, config, under, ...(args !== undefined && { args }) });
  }

  /** Runs an operator's command for the container's network. */
  person(words: string, who: number, listing = ""): Promise<Answer> {
    const text = `${JSON.stringify(this.networks[networkOf(who)])}\n${listing}`;
    // `repair` prints for a person only what it changed or could not change.
    const options = /^(metrics|repair)/.test(words) ? [] : ["--json"];
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

  /** Notes the address that an ADD reported: a complaint if another container has it. */
  note(who: number, added: Answer, scene: Scene): Complaint | undefined {
    if (added.code !== 0) return undefined;
    this.count("ADDs that work");
    const id = CONTAINERS[who] ?? "k0";
    const found = twice(this.memory, scene, id, added);
    this.memory.added(id, added.json);
    if (found?.isTold) this.count("second containers on an address, as told before");
    return found?.complaint;
  }

  /** A runtime tries again: a failed run leaves no further backup. */
  async again(run: () => Promise<Answer>, what: string): Promise<Complaint | undefined> {
    const once = await this.before();
    const { code, stdout } = await run();
    const { backups } = await this.look();
    if (code === 0 || backups.length <= once.backups.length) return undefined;
    const about = `exit ${code}: ${stdout}`;
    return { kind: `${what} that fails again leaves another backup of a damaged state`, about };
  }

  /** Indexes of the network's containers without a host veth. */
  async idle(who: number): Promise<number[]> {
    const { seats } = await this.before();
    return neighbours(who).filter((id) => seats.get(id)?.outer === undefined)
      .map((id) => CONTAINERS.indexOf(id as "k0"));
  }
}
