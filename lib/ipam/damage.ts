import { CniError } from "../base/errors.ts";

/** The format this program writes. */
export const SCHEMA = 3;

export function damaged(path: string, found: string, cause?: unknown): CniError {
  return new CniError("StateDamaged", `Cannot read "${path}" as a state file: ${found}`, {
    details: "no address is allocated until it is repaired: atomicni repair < CONFIGURATION",
    cause,
  });
}

/** Something that this program never writes has the state file's name: it is not opened, and no ADD moves it away. */
export class NotAStateFile extends CniError {
  constructor(path: string, found: string) {
    const { message, details } = damaged(path, found);
    super("StateDamaged", message, { details });
  }
}

/** The state file was written by a later version of the program. This version must not replace it. */
export class NewerSchema extends CniError {
  constructor(path: string, schema: number) {
    super(
      "StateDamaged",
      `Cannot read "${path}" as a state file of schema ${SCHEMA}: it has schema ${schema}`,
      {
        details:
          "a newer atomicni wrote it: install that version again, or drain the node and remove the file",
      },
    );
  }
}
