import { CniError, quote } from "../base/errors.ts";
import { isObject, type JsonObject } from "../base/fields.ts";

/** The format this program writes. */
export const SCHEMA = 3;

export function damaged(path: string, found: string): CniError {
  return new CniError(
    "StateDamaged",
    `Cannot read "${path}" as a state file: ${found}`,
    "no address is allocated until it is repaired: atomicni repair < CONFIGURATION",
  );
}

/** The map under that name. Throws StateDamaged for any other value. */
export function mapIn(name: string, value: unknown, path: string): JsonObject {
  if (isObject(value)) return value;
  throw damaged(path, `${name} is ${quote(value)}, not an object`);
}

/** Something that this program never writes has the state file's name: it is not opened, and no ADD moves it away. */
export class NotAStateFile extends CniError {
  constructor(path: string, found: string) {
    const { message, details } = damaged(path, found);
    super("StateDamaged", message, details);
  }
}

/** The state file was written by a later version of the program. This version must not replace it. */
export class NewerSchema extends CniError {
  constructor(path: string, schema: number) {
    const found = `it has schema ${schema}`;
    super(
      "StateDamaged",
      `Cannot read "${path}" as a state file of schema ${SCHEMA}: ${found}`,
      "a newer atomicni wrote it: install that version again, or drain the node and remove the file",
    );
  }
}
