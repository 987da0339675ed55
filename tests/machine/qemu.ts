import { fromFileUrl } from "@std/path/posix";
import { run } from "../integration/host.ts";
import { Disk } from "./disk.ts";
import { type BootOptions, Machine } from "./machine.ts";
import { plugIn, scratchFolder, spawn } from "./power.ts";

const INIT = fromFileUrl(new URL("guest/init", import.meta.url));
const KVM_MS = 10_000;
const EMULATED_MS = 180_000;
/** The machine's programs in addition to busybox. */
const COMMANDS = [
  "dash",
  "ip",
  "modprobe",
  "unshare",
  "nsenter",
  "flock",
  "mount",
  "env",
  "busybox",
];
const BUSYBOX =
  "awk base64 cat echo true chmod cut date grep head ls ln mkdir mktemp printf ps rm sed sleep stat stty tr umount uname wc";
const MODULES = ["virtio_pci", "virtio_blk", "bridge", "veth", "loop", "ipv6"];

export type Accelerator = "kvm" | "tcg";

/** A Debian kernel, as tests/machine/kernels unpacks it, and the root file system made for it. */
export interface Kernel {
  readonly version: string;
  readonly file: string;
  readonly root: string;
}

/** Creates a machine's root file system: only what the plugin and a shell need. */
export async function makeRootFileSystem(
  unpacked: string,
  programs: string[],
  into: string,
): Promise<Kernel> {
  const version = unpacked.replace(/^.*\//, "");
  const root = `${into}/root`;
  await sh(`mkdir ${root}; cd ${root}
    mkdir -p proc sys dev run tmp root etc var/lib usr/bin usr/sbin usr/lib usr/lib64
    for it in bin sbin lib lib64; do ln -s usr/$it $it; done`);
  const found = await sh(`for it in ${COMMANDS.join(" ")}; do command -v $it; done`);
  const needed = [...found.split("\n"), Deno.execPath(), ...programs];
  // `ldd` fails on a file that is not a binary, and such a file has no libraries.
  const libraries = await sh(
    `for it in ${needed.join(" ")}; do ldd $it 2>/dev/null; done | grep -o '/[^ ]*' | sort -u`,
  );
  for (const path of [...needed, ...libraries.split("\n")]) {
    await sh(`mkdir -p ${root}/$(dirname ${path}); cp -L ${path} ${root}${path}`);
  }
  await sh(`cd ${root}/usr/bin
    for it in ${BUSYBOX}; do [ -e $it ] || ln -s busybox $it; done
    ln -s dash sh; cp ${INIT} ../../init`);
  await modules(unpacked, version, root);
  await sh(
    `cd ${into}; truncate -s 400M root.ext4; mkfs.ext4 -q -F -O ^metadata_csum -d root root.ext4`,
  );
  const split = `${unpacked}/usr/lib/modules/${version}/vmlinuz`;
  const isSplit = await Deno.stat(split).then(() => true, () => false);
  const file = isSplit ? split : `${unpacked}/boot/vmlinuz-${version}`;
  return { version, file, root: `${into}/root.ext4` };
}

async function modules(unpacked: string, version: string, root: string): Promise<void> {
  const folder = `lib/modules/${version}`;
  const show = MODULES.map((it) => `modprobe -d ${unpacked} -S ${version} --show-depends ${it}`);
  const files = await sh(
    `(${show.join("; ")}) 2>/dev/null | sed -n 's|^insmod ${unpacked}/*||p' | sort -u`,
  );
  for (const file of files.split("\n")) {
    await sh(`mkdir -p ${root}/$(dirname ${file}); cp ${unpacked}/${file} ${root}/${file}`);
  }
  await sh(`cp ${unpacked}/${folder}/modules.* ${root}/${folder}/`);
}

export async function emulate(
  kernel: Kernel,
  disk: Disk,
  accelerator: Accelerator,
  options: BootOptions = {},
): Promise<Machine> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(scratchFolder());
  const socket = plugIn(stack, disk, path);
  const cpu = accelerator === "kvm" ? ["kvm", "host"] : ["tcg,thread=multi", "max"];
  const child = spawn(stack, "qemu-system-x86_64", {
    args: [
      ...["-accel", cpu[0] ?? "", "-cpu", cpu[1] ?? "", "-M", "q35", "-smp", "1", "-m", "1024"],
      ...["-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio", "-kernel", kernel.file],
      ...["-drive", `if=none,id=root,file=${kernel.root},format=raw,snapshot=on`],
      ...["-device", "nvme,serial=root,drive=root"],
      ...["-drive", `if=none,id=state,file=nbd+unix:///?socket=${socket},format=raw,cache=none`],
      ...["-device", "virtio-blk-pci,drive=state"],
      "-append",
      [
        ...["console=ttyS0", "root=/dev/nvme0n1", "rootwait", "ro", "init=/init", "panic=-1"],
        ...["quiet", "loglevel=1", "mitigations=off", "no_timer_check", ...options.kernel ?? []],
      ].join(" "),
    ],
    env: { TMPDIR: path },
    stdin: "piped",
    stdout: "piped",
    stderr: accelerator === "kvm" ? "null" : "inherit",
  });
  const bootMs = accelerator === "kvm" ? KVM_MS : EMULATED_MS;
  return await Machine.start({ child, stack: stack.move() }, { bootMs, ...options });
}

/** Uses KVM only if a boot proves it: /dev/kvm may exist and accept a machine that never runs. */
export async function accelerator(kernel: Kernel): Promise<Accelerator> {
  try {
    await Deno.stat("/dev/kvm");
    await using machine = await emulate(kernel, new Disk(new Uint8Array(1 << 20)), "kvm");
    await machine.must("true");
    return "kvm";
  } catch {
    return "tcg";
  }
}

async function sh(script: string): Promise<string> {
  const { code, stdout, stderr } = await run(["sh", "-c", script]);
  if (code !== 0) throw new Error(`${script}: exit ${code}: ${stderr}`);
  return stdout.trimEnd();
}
