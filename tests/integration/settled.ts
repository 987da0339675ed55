import { untilSh } from "../until.ts";
import type { Host } from "./host.ts";

/** Waits until no address of these namespaces is tentative, which can take two seconds. `""` is the host. */
export async function settled(host: Host, ...namespaces: string[]): Promise<void> {
  const shows = namespaces.map((it) => `ip ${it && `-n ${it}`} -6 addr show tentative`);
  await host.sh(shows.map((it) => untilSh(`! ${it} | grep -q inet6`)).join("\n"));
}
