/** Runs an import as a person does, `{ cat CONFIG; grep -H '' FOLDER/*; } |`, and prints its report as JSON. */
import { describeImport, importLeases } from "../../lib/adopted.ts";
import { parseConfig, parseStdin } from "../../lib/config.ts";
import { asCniError } from "../../lib/errors.ts";
import { parseLeaseFolder, splitImport } from "../../lib/import.ts";
import { runIp } from "../../lib/ip.ts";
import { openLeases } from "../../lib/ipam.ts";
import { IpKernel } from "../../lib/netops.ts";

const { configuration, listing } = splitImport(await new Response(Deno.stdin.readable).text());
const stop = new AbortController().signal;
let answer: unknown;
try {
  const config = parseConfig(parseStdin(configuration), "1.0.0", {});
  const report = await importLeases(
    parseLeaseFolder(listing),
    config,
    new IpKernel(runIp),
    openLeases(config.dataDir, config.name, stop),
  );
  answer = describeImport(report);
} catch (error) {
  const { code, message, details } = asCniError(error);
  answer = { code, message, details };
}
await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(answer)));
// The limits on each `ip` would keep the process.
Deno.exit(0);
