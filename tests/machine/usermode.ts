import { fromFileUrl } from "@std/path/posix";
import type { Disk } from "./disk.ts";
import { type BootOptions, Machine } from "./machine.ts";
import { exists, plugIn, scratchFolder, spawn } from "./power.ts";

/** The folder into which tests/machine/usermode unpacks user-mode Linux and its modules. */
const UNPACKED = (Deno.env.get("USERMODE") ?? "/").replace(/\/$/, "");
const INIT = fromFileUrl(new URL("guest/init", import.meta.url));

/** User-mode Linux with the host's own root as its own, read-only, and `disk` as /dev/vda. */
export async function boot(disk: Disk, options: BootOptions = {}): Promise<Machine> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(scratchFolder());
  // User-mode Linux's own block driver drops flushes; a vhost-user disk receives them.
  const socket = plugIn(stack, disk, path);
  spawn(stack, "qemu-storage-daemon", {
    args: [
      ...["--blockdev", `driver=nbd,node-name=d,server.type=unix,server.path=${socket}`],
      "--export",
      `type=vhost-user-blk,id=e,node-name=d,addr.type=unix,addr.path=${path}/disk,writable=on`,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  await exists(`${path}/disk`);
  const child = new Deno.Command("setsid", {
    args: [
      ...[`${UNPACKED}/usr/bin/linux.uml`, "mem=512M", "seccomp=on"],
      ...["rootfstype=hostfs", "root=/dev/root", "rootflags=/", "ro"],
      ...[`modules=${UNPACKED}/usr/lib/uml/modules`, `init=${INIT}`],
      ...[`virtio_uml.device=${path}/disk:2`, "con0=fd:0,fd:1", "con=null"],
      ...["quiet", "loglevel=1", "panic=-1", ...options.kernel ?? []],
    ],
    env: { TMPDIR: path },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  stack.defer(() => endGroup(child));
  return await Machine.start({ child, stack: stack.move() }, options);
}

/** User-mode Linux has a process for each address space, all in its process group: the group has to be ended. */
async function endGroup({ pid, status }: Deno.ChildProcess): Promise<void> {
  await new Deno.Command("kill", { args: ["-KILL", "--", `-${pid}`], stderr: "null" }).output();
  await status;
}
