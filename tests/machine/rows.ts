import type { Disk } from "./disk.ts";
import type { Machine } from "./machine.ts";
import { EXT4, mountState } from "./filesystem.ts";

const EIO = 5;
const FOLDER = "/var/lib/atomicni";

/** A fault of the machine while a container is attached. */
export interface Row {
  readonly name: string;
  /** Further arguments of the kernel's command line. */
  readonly kernel?: readonly string[];
  /** The error of an ADD; absent if the ADD succeeds. */
  readonly refusal?: { readonly code: number; readonly cause: RegExp };
  /** Left out of CI's short form: slow, and similar to another row. */
  readonly onlyFull?: boolean;
  /** Whether the row starts without a container. */
  readonly isFirst?: boolean;
  spoil(machine: Machine, disk: Disk): Promise<void>;
  /** Repairs the machine. Without it the test ends after the failed ADD. */
  fix?(machine: Machine, disk: Disk): Promise<void>;
  /** Asserted if the ADD succeeds. */
  check?(machine: Machine): Promise<void>;
}

async function remount(machine: Machine, disk: Disk): Promise<void> {
  disk.flushError = 0;
  await machine.must(`umount ${FOLDER}`);
  await mountState(machine, EXT4);
}

/** The gateway answers: the attachment carries traffic. */
async function ping(machine: Machine): Promise<void> {
  await machine.must("ip netns exec c2 busybox ping -c 1 -W 3 10.86.0.1");
}

function bridge(options: string): string {
  return `ip link add name atomic0 address 0a:58:0a:56:00:01 type bridge ${options}`;
}

export const ROWS: readonly Row[] = [
  {
    name: "the disk answers a flush with EIO",
    refusal: { code: 5, cause: /input\/output|os error 5|read-only/i },
    spoil: (_, disk) => Promise.resolve(void (disk.flushError = EIO)),
    fix: remount,
  },
  {
    name: "a kernel without the veth module",
    isFirst: true,
    kernel: ["without=veth"],
    refusal: { code: 100, cause: /unknown device type/i },
    spoil: () => Promise.resolve(),
    fix: async (machine) => void await machine.must("modprobe -d /run/modules veth"),
  },
  {
    name: "a bridge with vlan_filtering 1, vlan_default_pvid 0",
    isFirst: true,
    refusal: { code: 105, cause: /vlan/i },
    async spoil(machine) {
      await machine.must(bridge("vlan_filtering 1 vlan_default_pvid 0"));
    },
    fix: async (machine) =>
      void await machine.must("ip link set dev atomic0 type bridge vlan_default_pvid 1"),
  },
  {
    name: "a bridge with vlan_filtering 1, vlan_default_pvid 1",
    isFirst: true,
    async spoil(machine) {
      await machine.must(bridge("vlan_filtering 1 vlan_default_pvid 1"));
    },
    check: ping,
  },
  {
    name: "a bridge with vlan_filtering 1, vlan_default_pvid 7",
    onlyFull: true,
    isFirst: true,
    async spoil(machine) {
      await machine.must(`${bridge("vlan_filtering 1 vlan_default_pvid 7")}
        bridge vlan add dev atomic0 vid 7 pvid untagged self`);
    },
    check: ping,
  },
];
