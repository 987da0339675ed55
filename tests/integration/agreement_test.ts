import { assertEquals } from "@std/assert";
import { type CniCall, CONFIG, type Host, hostTest, STATE_FOLDER } from "./host.ts";

/** A state of the host in which STATUS, doctor and ADD have to agree. */
interface Row {
  readonly name: string;
  /** A shell script that creates this state. */
  readonly given?: string;
  /** A command that starts the program. */
  readonly under?: readonly string[];
  /** Whether an ADD works; `undefined` if that depends on the form. */
  readonly works: boolean | undefined;
}

const FILES = {
  folder: STATE_FOLDER,
  state: `${STATE_FOLDER}/podnet.json`,
  lock: `${STATE_FOLDER}/podnet.lock`,
};

const ROWS: readonly Row[] = [
  ...Object.entries(FILES).flatMap(([what, path]): Row[] =>
    ["+i", "+a"].map((flag) => ({
      name: `${what} with chattr ${flag}`,
      given: `chattr ${flag} ${path}`,
      works: false,
    }))
  ),
];

async function says(host: Host, { under = [] }: Row): Promise<Record<string, boolean>> {
  const call: CniCall = { id: "c2", netns: "/run/c2", under };
  const status = await host.cni("STATUS", call);
  const doctor = await host.program(["doctor"], JSON.stringify(CONFIG), {}, under);
  const add = await host.cni("ADD", call);
  return { status: status.code === 0, doctor: doctor.code < 2, add: add.code === 0 };
}

for (const row of ROWS) {
  hostTest(`STATUS, doctor and ADD agree: ${row.name}`, async (host) => {
    await host.containers("c1", "c2");
    await host.sh("touch /run/c2; mount --bind /run/netns/c2 /run/c2");
    await host.add();
    await host.sh(row.given ?? "");
    try {
      const { status, doctor, add } = await says(host, row);
      assertEquals([status, doctor], [add, add], "STATUS, doctor and the outcome of the ADD");
      assertEquals(add, row.works ?? add);
    } finally {
      await host.sh(`chattr -ia ${Object.values(FILES).join(" ")}`);
    }
  });
}
