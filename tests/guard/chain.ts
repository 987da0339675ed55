import { assertEquals } from "@std/assert";
import { type Host, type Json, run } from "../integration/host.ts";
import type { Attachment } from "./scene.ts";

const PLUGINS = "/usr/lib/cni";

/** Calls reference plugins after ours, as a runtime does: each gets the result of the previous plugin. */
export class Chain {
  readonly #host: Host;
  readonly #plugins: readonly Json[];

  constructor(host: Host, plugins: readonly Json[]) {
    this.#host = host;
    this.#plugins = plugins;
  }

  async add({ id, result }: Attachment): Promise<void> {
    let prevResult = { ...result, cniVersion: "1.0.0" };
    for (const plugin of this.#plugins) {
      const printed = await this.#call("ADD", id, { ...plugin, prevResult });
      prevResult = JSON.parse(printed);
    }
  }

  async del({ id, result }: Attachment): Promise<void> {
    const prevResult = { ...result, cniVersion: "1.0.0" };
    for (const plugin of [...this.#plugins].reverse()) {
      await this.#call("DEL", id, { ...plugin, prevResult });
    }
  }

  async #call(command: string, id: string, plugin: Json): Promise<string> {
    const config = { cniVersion: "1.0.0", name: "podnet", ...plugin };
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: `/run/netns/${id}`,
      CNI_IFNAME: "eth0",
      CNI_PATH: PLUGINS,
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    };
    const program = this.#host.inside(`${PLUGINS}/${plugin.type}`);
    const { code, stdout, stderr } = await run(program, JSON.stringify(config), env);
    assertEquals(code, 0, `${command} of ${plugin.type}: ${stdout} ${stderr}`);
    return stdout;
  }
}
