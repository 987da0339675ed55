import { assert, assertEquals } from "@std/assert";

const FOLDER = new URL("../.github/ISSUE_TEMPLATE/", import.meta.url);
// Not literal, so that only this test needs the package.
const YAML = "npm:yaml@2.9.1";
const TYPES = ["markdown", "textarea", "input", "dropdown", "checkboxes"];

Deno.test("the forge accepts each issue form", async () => {
  const { parse } = await import(YAML);
  const names = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).filter((it) =>
    it !== "config.yml"
  );
  assert(names.length >= 3, `only ${names}`);
  for (const file of names) {
    const form = parse(await Deno.readTextFile(new URL(file, FOLDER)));
    for (const key of ["name", "description", "body"]) assert(form[key], `${file} has no ${key}`);
    const fields = form.body.filter((it: { type: string }) => it.type !== "markdown");
    const ids = fields.map((it: { id: string }) => it.id);
    assertEquals(new Set(ids).size, fields.length, `${file}: an id is missing or not unique`);
    for (const { type, attributes } of form.body) {
      assert(TYPES.includes(type), `${file}: ${type}`);
      assert(type === "markdown" ? attributes.value : attributes.label, `${file}: no text`);
    }
  }
});
