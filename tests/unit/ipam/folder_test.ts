import { assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path/posix";
import { CniError } from "../../../lib/base/errors.ts";
import { parseNetworkName } from "../../../lib/base/names.ts";
import { namesIn, removeQuietly, tryLstat } from "../../../lib/ipam/files.ts";
import { emptyLocksOfMoved, lockPath, statePath } from "../../../lib/ipam/folder.ts";
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

const FILES = ["podnet.lock", "podnet.json", "site/other.lock", ".deno/cache.lock"];

Deno.test("emptyLocksOfMoved() empties the lock files below a folder that was moved, once", () => {
  const folder = Deno.makeTempDirSync();
  for (const name of ["site", ".deno"]) Deno.mkdirSync(`${folder}/${name}`);
  const write = () =>
    FILES.forEach((name) => Deno.writeTextFileSync(`${folder}/${name}`, "record"));
  const sizes = () => FILES.map((name) => Deno.statSync(`${folder}/${name}`).size);
  const emptyAll = () => emptyLocksOfMoved([{ folder, found: Deno.lstatSync(folder) }]);
  write();
  emptyAll();
  assertEquals(sizes(), [6, 6, 6, 6], "its files were made last");
  // As a rename does, this leaves a ctime that is later than the mtime.
  Deno.utimeSync(folder, 1_000, 1_000);
  emptyAll();
  assertEquals(sizes(), [0, 6, 0, 6]);
  write();
  Deno.writeTextFileSync(`${folder}/.podnet.mark`, "");
  emptyAll();
  assertEquals(sizes(), [6, 6, 6, 6]);
  Deno.utimeSync(folder, 1_000, 1_000);
  const found = Deno.lstatSync(folder);
  Deno.removeSync(folder, { recursive: true });
  const error = assertThrows(() => emptyLocksOfMoved([{ folder, found }]), CniError, folder);
  assertEquals(error.code, 5);
  emptyLocksOfMoved([{ folder, found: undefined }]);
});
