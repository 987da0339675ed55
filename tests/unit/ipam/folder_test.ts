import { assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path/posix";
import { CniError } from "../../../lib/base/errors.ts";
import { parseNetworkName } from "../../../lib/base/names.ts";
import { namesIn, removeQuietly, tryLstat } from "../../../lib/ipam/files.ts";
import { lockPath, statePath } from "../../../lib/ipam/folder.ts";
import { inFolder, namesOf } from "../folder.ts";

Deno.test("the state file and the lock file of a network are in one folder", () => {
  const network = parseNetworkName("a.b-c");
  assertEquals([statePath("/s", network), lockPath("/s/d", network)], [
    "/s/a.b-c.json",
    "/s/d/a.b-c.lock",
  ]);
});

Deno.test("tryLstat() does not follow a link; a missing file is undefined, another failure is code 5", async () => {
  await inFolder((folder) => {
    const link = join(folder, "link");
    assertEquals([tryLstat(link), namesIn(link)], [undefined, []]);
    Deno.symlinkSync("nowhere", link);
    assertEquals(tryLstat(link)?.isSymlink, true);
    assertEquals(namesIn(folder), ["link"]);
    removeQuietly(link);
    removeQuietly(link);
    assertEquals(namesOf(folder), []);
    const file = join(folder, "file");
    Deno.writeTextFileSync(file, "");
    for (const look of [() => tryLstat(join(file, "x")), () => namesIn(file)]) {
      assertEquals(assertThrows(look, CniError).code, 5);
    }
  });
});
