import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Json } from "../integration/host.ts";
import { manifest } from "./delivery.ts";
import { metricsIn } from "./promql.ts";

/** Models with the JSON schemas of a pinned version of the Prometheus operator, from npm. */
const MODELS = "npm:@kubernetes-models/prometheus-operator@6.0.0";
const FOLDER = "deploy/kubernetes/monitoring";

const only = async (kind: string, folder = FOLDER): Promise<Json> => {
  const found = (await manifest(folder)).filter((it) => it.kind === kind);
  assertEquals(found.length, 1, kind);
  return found[0];
};

async function isValid(document: Json): Promise<boolean> {
  const { kind, apiVersion } = document;
  const { [kind]: Model } = await import(`${MODELS}/${apiVersion}/${kind}`);
  try {
    await new Model(document).validate();
    return true;
  } catch {
    return false;
  }
}

Deno.test(`${FOLDER}: each document matches the schema of its kind`, async () => {
  const documents = await manifest(FOLDER);
  assertEquals(documents.map(({ kind }) => kind).sort(), ["PodMonitor", "PrometheusRule"]);
  for (const document of documents) {
    assertEquals(document.metadata.namespace, "kube-system");
    assert(await isValid(document), document.kind);
  }
});

Deno.test("the schemas of the Prometheus operator refuse a wrong type and a missing field", async () => {
  const wrong: readonly (readonly [kind: string, change: (it: Json) => void])[] = [
    ["PodMonitor", (it) => delete it.spec.selector],
    ["PodMonitor", (it) => it.spec.podMetricsEndpoints[0].relabelings[0].action = 5],
    ["PrometheusRule", (it) => it.spec.groups[0].rules = "none"],
    ["PrometheusRule", (it) => delete it.spec.groups[0].rules[0].expr],
  ];
  for (const [kind, change] of wrong) {
    const copy = structuredClone(await only(kind));
    change(copy);
    assert(!await isValid(copy), `${kind}: ${change}`);
  }
});

Deno.test("the PodMonitor finds the DaemonSet's pods, and the port of their metrics", async () => {
  const { spec } = await only("PodMonitor");
  const daemonSet = await only("DaemonSet", "deploy/kubernetes");
  const { labels } = daemonSet.spec.template.metadata;
  for (const [name, value] of Object.entries(spec.selector.matchLabels)) {
    assertEquals(labels[name], value);
  }
  const [{ relabelings }] = spec.podMetricsEndpoints;
  const metrics = daemonSet.spec.template.spec.containers.find((it: Json) =>
    it.command.includes("serve")
  );
  const port = metrics.env.find((it: Json) => it.name === "PORT").value;
  const pod = {
    __meta_kubernetes_pod_container_name: metrics.name,
    __meta_kubernetes_pod_node_name: "node-a",
  };
  for (
    const [ip, address] of [["192.0.2.1", `192.0.2.1:${port}`], ["fd00::1", `[fd00::1]:${port}`]]
  ) {
    const target = relabel({ ...pod, __meta_kubernetes_pod_host_ip: ip ?? "" }, relabelings);
    assertEquals([target?.["__address__"], target?.["node"]], [address, "node-a"]);
  }
  const other = { ...pod, __meta_kubernetes_pod_container_name: "node" };
  assertEquals(
    relabel({ ...other, __meta_kubernetes_pod_host_ip: "192.0.2.1" }, relabelings),
    undefined,
  );
});

Deno.test("each alert has an expression, a severity and a summary", async () => {
  const { spec } = await only("PrometheusRule");
  const rules: Json[] = spec.groups.flatMap((it: Json) => it.rules);
  assertEquals(rules.length, 3);
  for (const { alert, expr, labels, annotations } of rules) {
    assert(metricsIn(expr).length > 0, alert);
    assertMatch(labels.severity, /^(critical|warning)$/);
    for (const [, label = ""] of annotations.summary.matchAll(/\$labels\.(\w+)/g)) {
      assert(["node", "network"].includes(label), `${alert}: no target has the label ${label}`);
    }
  }
});

Deno.test("metricsIn() names the metrics of an expression, and refuses what it can't read", () => {
  const rows: [string, string[]][] = [
    ["up == 0", ["up"]],
    ["a_b + c < 0.1 * d", ["a_b", "c", "d"]],
    ['time() - t > 300 or sum by (node) (rate(x_total{a="up"}[5m])) > 1', ["t", "x_total"]],
  ];
  for (const [expr, names] of rows) assertEquals(metricsIn(expr), names, expr);
  for (const expr of ["a == ", "(a", "a b", "a == 0)", "time( - 1", "a{b} > 1", "or a"]) {
    let isRefused = false;
    try {
      metricsIn(expr);
    } catch {
      isRefused = true;
    }
    assert(isRefused, expr);
  }
});

/** The target's labels after relabelling as Prometheus does it; `undefined` if the target is dropped. */
function relabel(
  labels: Readonly<Record<string, string>>,
  rules: readonly Json[],
): Record<string, string> | undefined {
  const target: Record<string, string> = { ...labels };
  for (const { sourceLabels, regex = "(.*)", replacement = "$1", targetLabel, action } of rules) {
    const value = sourceLabels.map((it: string) => target[it] ?? "").join(";");
    const whole = new RegExp(`^(?:${regex})$`);
    if (action === "keep") {
      if (!whole.test(value)) return undefined;
    } else if (whole.test(value)) target[targetLabel] = value.replace(whole, replacement);
  }
  return target;
}
