import { assertEquals, assertStringIncludes } from "@std/assert";
import { countWords } from "../../lib/cli/state_words.ts";
import { CONFIG, hostTest, STATE_FOLDER } from "../integration/host.ts";

/** Reads the metrics with the parsers of Prometheus's own client, for OpenMetrics and for the older text format. */
const PARSE = `
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
text = sys.stdin.read()
read = lambda parse: [[f.name, f.type, [[s.name, s.labels, s.value] for s in f.samples]] for f in parse(text)]
new, old = read(openmetrics), read(prometheus)
assert new == old, (new, old)
print(json.dumps(new))
`;

hostTest("status shows the use of each network's pool", async (host) => {
  assertEquals((await host.program(["status"], "")).stdout, "No networks.\n");
  await host.containers("c1", "c2");
  const first = await host.add({ id: "c1" });
  await host.add({ id: "c2" });
  await host.add({
    id: "c2",
    ifname: "eth1",
    config: { ...CONFIG, name: "other", ipam: { routes: [] } },
  });
  await host.sh(`ip link del dev ${first.interfaces[1].name}`);
  const { code, stdout } = await host.program(["status"], "");
  assertEquals(code, 1, "one lease is stale");
  assertEquals(stdout.trimEnd().split("\n").map((line) => line.split(/  +/)), [
    ["NETWORK", "SUBNET", "RANGE", "SIZE", "HELD", "STALE", "FREE", "STATE"],
    ["other", "10.86.0.0/24", "10.86.0.1 - 10.86.0.254", "253", "1", "0", "252", "ok"],
    ["podnet", "10.86.0.0/24", "10.86.0.1 - 10.86.0.254", "253", "2", "1", "251", "1 stale"],
  ]);
  assertEquals((await host.program(["status", "other"], "")).code, 0);
  const only = await host.program(["status", "podnet", "--json"], "");
  assertEquals(only.json.networks, [{
    network: "podnet",
    dataDir: STATE_FOLDER,
    set: 0,
    subnet: "10.86.0.0/24",
    range: "10.86.0.1 - 10.86.0.254",
    size: 253,
    held: 2,
    stale: 1,
    free: 251,
    state: "1 stale",
    attachments: countWords(["stale", "live"]),
  }]);
});

hostTest("Prometheus's parsers read status --metrics", async (host) => {
  await host.containers("c1");
  await host.add();
  await host.sh(`cat > ${STATE_FOLDER}/old.json <<'E'
{"lastReserved":"","containerToIP":{"x":"10.22.0.2"},"ipToContainer":{"10.22.0.2":"x"}}
E
printf x > ${STATE_FOLDER}/broken.json`);
  const { code, stdout, stderr } = await host.program(["status", "--metrics"], "");
  assertEquals(code, 2, "a state file can't be read");
  assertStringIncludes(stderr, "error 104: ");
  const parsed = await host.run(["/usr/bin/python3", "-c", PARSE], stdout);
  assertEquals(parsed.stderr, "");
  const families: [string, string, [string, Record<string, string>, number][]][] = JSON.parse(
    parsed.stdout,
  );
  const values = Object.fromEntries(families.flatMap(([, type, samples]) => {
    assertEquals(type, "gauge");
    return samples.filter(([, { state = "" }, value]) => state === "" || value > 0).map((
      [name, { network = "", state = "" }, value],
    ) => [`${name} ${network} ${state}`.trim(), value]);
  }));
  assertEquals(values, {
    "atomicni_pool_addresses podnet": 253,
    "atomicni_pool_held old": 1,
    "atomicni_pool_held podnet": 1,
    "atomicni_pool_stale old": 1,
    "atomicni_pool_stale podnet": 0,
    "atomicni_pool_free podnet": 252,
    "atomicni_attachments old stale": 1,
    "atomicni_attachments podnet live": 1,
    "atomicni_state_readable broken": 0,
    "atomicni_state_readable old": 1,
    "atomicni_state_readable podnet": 1,
    "atomicni_build_info": 1,
  });
});
