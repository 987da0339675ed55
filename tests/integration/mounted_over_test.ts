import { assert, assertEquals } from "@std/assert";
import { CONFIG, hostTest, STATE_FOLDER } from "./host.ts";

const CONFIGURATION = JSON.stringify(CONFIG);

// No file shows that a file system was mounted over the folder and removed again (docs/architecture.md).
hostTest(
  "a mount over the state folder that is removed again: doctor and repair see its containers",
  async (host) => {
    await host.containers("before", "during", "after");
    await host.add({ id: "before" });
    await host.sh(`mount -t tmpfs -o mode=0700 tmpfs ${STATE_FOLDER}`);
    assertEquals((await host.cni("ADD", { id: "during" })).json.code, 104);
    assertEquals((await host.program(["repair"], CONFIGURATION)).code, 0);
    const during = await host.add({ id: "during" });
    await host.sh(`umount ${STATE_FOLDER}`);

    const doctor = await host.program(["doctor", "--json"], CONFIGURATION);
    const veths = doctor.json.findings.find(({ about }: { about: string }) => about === "veths");
    assertEquals(veths.level, "warning");
    assert(veths.found.includes('"during/eth0"'), veths.found);
    assertEquals((await host.program(["repair"], CONFIGURATION)).code, 0);

    const after = await host.add({ id: "after" });
    assert(after.ips[0].address !== during.ips[0].address, after.ips[0].address);
  },
);
