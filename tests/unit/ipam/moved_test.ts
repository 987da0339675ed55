import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { doubtMoved } from "../../../lib/ipam/moved.ts";

const FILES = ["podnet.lock", "podnet.json", "site/other.lock", ".deno/cache.lock"];

Deno.test("doubtMoved() empties the lock files below a folder that was moved, once", () => {
  const folder = Deno.makeTempDirSync();
  for (const name of ["site", ".deno"]) Deno.mkdirSync(`${folder}/${name}`);
  const write = () =>
    FILES.forEach((name) => Deno.writeTextFileSync(`${folder}/${name}`, "record"));
  const sizes = () => FILES.map((name) => Deno.statSync(`${folder}/${name}`).size);
  const doubt = () => doubtMoved([{ folder, found: Deno.lstatSync(folder) }]);
  write();
  doubt();
  assertEquals(sizes(), [6, 6, 6, 6], "its files were made last");
  // As a rename does, this leaves a ctime that is later than the mtime.
  Deno.utimeSync(folder, 1_000, 1_000);
  doubt();
  assertEquals(sizes(), [0, 6, 0, 6]);
  write();
  Deno.writeTextFileSync(`${folder}/.podnet.mark`, "");
  doubt();
  assertEquals(sizes(), [6, 6, 6, 6]);
  Deno.utimeSync(folder, 1_000, 1_000);
  const found = Deno.lstatSync(folder);
  Deno.removeSync(folder, { recursive: true });
  const error = assertThrows(() => doubtMoved([{ folder, found }]), CniError, folder);
  assertEquals(error.code, 5);
  doubtMoved([{ folder, found: undefined }]);
});
