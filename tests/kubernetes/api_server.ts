/**
 * A replacement of the Kubernetes API server, over TLS: reads of nodes, pods and DaemonSets, checked against a token and
 * the RBAC rules of the manifest. Arguments: FOLDER, HOSTNAME, PORT. FOLDER holds tls.crt, tls.key, `token.server` and
 * `objects.json`; its file `fault` names a fault that lasts until the file is removed.
 */
import type { Json } from "../integration/host.ts";

const [folder = "", hostname = "", port = ""] = Deno.args;

/** An object's kind in a path. */
const PATHS: readonly [kind: string, group: string, resource: string, path: RegExp][] = [
  ["Node", "", "nodes", /^\/api\/v1\/nodes(?:\/(?<name>[^/]+))?$/],
  ["Pod", "", "pods", /^\/api\/v1\/namespaces\/(?<namespace>[^/]+)\/pods(?:\/(?<name>[^/]+))?$/],
  [
    "DaemonSet",
    "apps",
    "daemonsets",
    /^\/apis\/apps\/v1\/namespaces\/(?<namespace>[^/]+)\/daemonsets(?:\/(?<name>[^/]+))?$/,
  ],
];

interface Rule {
  readonly apiGroups: string[];
  readonly resources: string[];
  readonly resourceNames?: string[];
  readonly verbs: string[];
  /** The namespace of a Role; absent for a ClusterRole. */
  readonly namespace?: string;
}

const failed = (status: number) =>
  new Response(JSON.stringify({ kind: "Status", status: "Failure", code: status }), { status });

async function answer(request: Request): Promise<Response> {
  const { rules, objects }: { rules: Rule[]; objects: Json[] } = JSON.parse(
    await Deno.readTextFile(`${folder}/objects.json`),
  );
  const token = (await Deno.readTextFile(`${folder}/token.server`)).trim();
  if (request.headers.get("authorization") !== `Bearer ${token}`) return failed(401);
  const url = new URL(request.url);
  for (const [kind, group, resource, path] of PATHS) {
    const found = path.exec(url.pathname);
    if (found === null) continue;
    const { namespace, name } = found.groups ?? {};
    const verb = name === undefined ? "list" : "get";
    const mayRead = rules.some((rule) =>
      rule.apiGroups.includes(group) && rule.resources.includes(resource) &&
      rule.verbs.includes(verb) &&
      (rule.namespace === undefined || rule.namespace === namespace) &&
      (rule.resourceNames === undefined || rule.resourceNames.includes(name ?? ""))
    );
    if (!mayRead) return failed(403);
    const items = objects.filter((it) =>
      it.kind === kind && (namespace === undefined || it.metadata.namespace === namespace)
    );
    if (name === undefined) {
      const wanted = url.searchParams.get("labelSelector")?.split("=");
      const chosen = items.filter(({ metadata }) =>
        wanted === undefined || metadata.labels?.[wanted[0] ?? ""] === wanted[1]
      );
      return Response.json({ kind: `${kind}List`, items: chosen });
    }
    const item = items.find((it) => it.metadata.name === name);
    return item === undefined ? failed(404) : Response.json(item);
  }
  return failed(404);
}

async function faulty(request: Request): Promise<Response> {
  let fault = "";
  try {
    fault = (await Deno.readTextFile(`${folder}/fault`)).trim();
  } catch {
    return await answer(request);
  }
  const [kind = "", value = ""] = fault.split(" ");
  if (kind === "slow") await new Promise((resume) => setTimeout(resume, Number(value)));
  if (kind === "status") return failed(Number(value));
  if (kind !== "truncated") return await answer(request);
  const whole = new Uint8Array(await (await answer(request)).arrayBuffer());
  const half = new ReadableStream({
    start(controller) {
      controller.enqueue(whole.slice(0, whole.length / 2));
      setTimeout(() => controller.error(new Error("cut")), 50);
    },
  });
  return new Response(half, { headers: { "content-length": `${whole.length}` } });
}

Deno.serve({
  hostname,
  port: Number(port),
  cert: await Deno.readTextFile(`${folder}/tls.crt`),
  key: await Deno.readTextFile(`${folder}/tls.key`),
  onListen: () => {},
  onError: () => failed(500),
}, faulty);
