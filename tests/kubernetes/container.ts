import type { Json } from "../integration/host.ts";
import { instructions } from "./delivery.ts";
import type { PodRun } from "./kubelet.ts";
import type { RootNode } from "./root_node.ts";

/** As a runtime finds it through the link /var/run. */
const ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount";
/** The capabilities that a runtime leaves to a container by default (common to containerd and CRI-O). */
const DEFAULT =
  "chown dac_override fowner fsetid kill net_bind_service setfcap setgid setpcap setuid sys_chroot";

/** The command that drops everything that a container's security context does not grant. */
export function limits({ securityContext = {} }: Json): string[] {
  if (securityContext.privileged === true) return [];
  const { drop = [], add = [] } = securityContext.capabilities ?? {};
  const granted = [
    ...(drop.includes("ALL") ? [] : DEFAULT.split(" ")),
    ...add.map((it: string) => it.toLowerCase()),
  ].map((it) => `+${it}`);
  const sets = ["-all", ...granted].join(",");
  const user = securityContext.runAsUser ?? 0;
  return [
    "setpriv",
    ...(user === 0 ? [] : [`--reuid=${user}`, `--regid=${user}`, "--clear-groups"]),
    ...(securityContext.allowPrivilegeEscalation === false ? ["--no-new-privs"] : []),
    `--inh-caps=${user === 0 ? sets : "-all"}`,
    `--bounding-set=${sets}`,
  ];
}

/**
 * The shell script for a runtime's work. It runs in the new mount and process namespaces of the container. It mounts the
 * image under a private layer, the volumes, and a /proc/sys that is read-only unless privileged; then it runs the
 * container's command. An older `unshare` leaves signals ignored.
 */
export async function launchScript(
  node: RootNode,
  pod: PodRun,
  container: Json,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const { securityContext = {} } = container;
  const at = `/run/pods/${pod.uid}`;
  await node.sh(`mkdir -p ${at}/volumes`);
  const mounts: string[] = [];
  const wanted = [...container.volumeMounts ?? []].sort((left: Json, right: Json) =>
    left.mountPath.split("/").length - right.mountPath.split("/").length
  );
  for (const { name, mountPath, readOnly } of wanted) {
    const volume = pod.spec.volumes.find((it: Json) => it.name === name);
    const source = await volumeOn(node, pod, volume);
    mounts.push(
      `mkdir -p .${mountPath} 2>/dev/null || [ -d .${mountPath} ]`,
      `mount --rbind ${source} .${mountPath}`,
      ...(readOnly === true ? [`mount -o remount,bind,ro .${mountPath}`] : []),
    );
  }
  const words = [...container.command ?? await entrypoint(), ...container.args ?? []];
  const command = [
    ...["env", "-i", ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
    ...words,
  ].map((word) => `'${word}'`).join(" ");
  return `
set -e
exec >>${at}/${container.name}.log 2>&1
read -r pid rest </proc/self/stat
echo $pid >${at}/${container.name}.pid
layer=${at}/layers/${container.name}
mkdir -p $layer
mount -t tmpfs tmpfs $layer
mkdir $layer/upper $layer/work $layer/root
mount -t overlay overlay -o lowerdir=/run/image/layer:/run/image/root,upperdir=$layer/upper,workdir=$layer/work $layer/root
cd $layer/root
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mkdir -p .${ACCOUNT}
mount --bind /run/api .${ACCOUNT}
${mounts.join("\n")}
${
    securityContext.privileged === true
      ? ""
      : "mount --bind proc/sys proc/sys; mount -o remount,bind,ro proc/sys"
  }
${securityContext.readOnlyRootFilesystem === true ? "mount -o remount,bind,ro ." : ""}
exec chroot . env --default-signal=TERM,INT ${limits(container).join(" ")} ${command}`;
}

/** The place of a volume's content on the node, created as a kubelet does it. */
async function volumeOn(node: RootNode, pod: PodRun, volume: Json): Promise<string> {
  const at = `/run/pods/${pod.uid}/volumes/${volume.name}`;
  if (volume.hostPath !== undefined) {
    const { path, type } = volume.hostPath;
    if (type === "DirectoryOrCreate") await node.sh(`mkdir -p ${path}`);
    else await node.sh(`[ -d ${path} ]`);
    return path;
  }
  await node.sh(`mkdir -p ${at} && chmod 777 ${at}`);
  if (volume.configMap === undefined) return at;
  const map = pod.documents.find(({ kind, metadata }) =>
    kind === "ConfigMap" && metadata.name === volume.configMap.name
  );
  if (map === undefined) throw new Error(`no ConfigMap ${volume.configMap.name}`);
  for (const [name, text] of Object.entries<string>(map.data)) {
    await node.sh(`cat >${at}/${name}`, text);
  }
  return at;
}

/** The command of a container that declares none. */
async function entrypoint(): Promise<string[]> {
  const line = (await instructions()).find((it) => it.startsWith("ENTRYPOINT ")) ?? "";
  return JSON.parse(line.slice("ENTRYPOINT ".length));
}
