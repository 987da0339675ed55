import { assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path/posix";
import { CniError } from "../../../lib/base/errors.ts";
import { parseNetworkName } from "../../../lib/base/names.ts";
import { lockPath, namesIn, removeQuietly, statePath, tryLstat } from "../../../lib/ipam/folder.ts";
import { inFolder, namesOf } from "../folder.ts";

Deno.test("state and lock of a network stand beside each other", () => {
  const network = parseNetworkName("a.b-c");
  assertEquals([statePath("/s", network), lockPath("/s/d", network)], [
    "/s/a.b-c.json",
    "/s/d/a.b-c.lock",
  ]);
});

Deno.test("what stands there is looked at, a link not followed; missing is no error, another failure code 5", async () => {
  await inFolder((folder) => {
    const link = join(folder, "link");
    assertEquals([tryLstat(link), namesIn(link)], [undefined, []]);
    Deno.symlinkSync("nowhere", link);
    assertEquals(tryLstat(link)?.isSymlink, true);
    assertEquals(namesIn(folder), ["link"]);
    assertEquals([removeQuietly(link), removeQuietly(link)], [true, false]);
    assertEquals(namesOf(folder), []);
    const file = join(folder, "file");
    Deno.writeTextFileSync(file, "");
    for (const look of [() => tryLstat(join(file, "x")), () => namesIn(file)]) {
      assertEquals(assertThrows(look, CniError).code, 5);
    }
  });
});
