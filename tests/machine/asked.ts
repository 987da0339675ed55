import { assert, assertEquals } from "@std/assert";
import type { Finished, Json } from "../integration/host.ts";
import type { Machine } from "./machine.ts";
import { type Call, cni, NETWORK, PROGRAM, quote } from "./command_line.ts";

/** `doctor`'s exit status if an ADD would fail; warnings have another. */
const DOCTOR_REFUSES = 2;

/** The answer of an ADD, and those of STATUS and `doctor` right after it. */
export interface Asked {
  readonly add: Finished;
  readonly status: Finished;
  readonly doctor: Finished;
}

/** Creates the namespace, runs an ADD, then STATUS and `doctor`. */
export async function ask(machine: Machine, call: Call = {}): Promise<Asked> {
  const { id = "c1", network = NETWORK } = call;
  await machine.must(`ip netns add ${id} 2>/dev/null || [ -e /run/netns/${id} ]`);
  const add = await machine.sh(cni("ADD", { ...call, netns: id }));
  // After an error of the disk, the file system is read-only once its journal could not be written either.
  await machine.sh("sync");
  const status = await machine.sh(cni("STATUS", call));
  return { add, status, doctor: await doctor(machine, network) };
}

export function doctor(machine: Machine, network: unknown = NETWORK): Promise<Finished> {
  return machine.sh(`printf %s ${quote(JSON.stringify(network))} | ${PROGRAM} doctor`);
}

/** ADD, STATUS and `doctor` agree that an ADD works. */
export function assertServes({ add, status, doctor }: Asked): void {
  const all = JSON.stringify({ add, status, doctor }, null, 2);
  assertEquals([add.code, status.code], [0, 0], all);
  assert(doctor.code !== DOCTOR_REFUSES, `doctor says that an ADD would fail: ${all}`);
}

/** ADD, STATUS and `doctor` agree that no ADD works, with that code, and all of them name the cause. */
export function assertRefuses({ add, status, doctor }: Asked, code: number, cause: RegExp): void {
  const all = JSON.stringify({ add, status, doctor }, null, 2);
  assertEquals(documentOf(add).code, code, `the code of the ADD: ${all}`);
  assertEquals(documentOf(status).code, 50, `the code of STATUS: ${all}`);
  assertEquals(doctor.code, DOCTOR_REFUSES, `doctor says that an ADD would succeed: ${all}`);
  const errors = doctor.stdout.split("\n").filter((line) => line.startsWith("error")).join("\n");
  const said = { ADD: add.stdout, STATUS: status.stdout, doctor: errors };
  for (const [who, text] of Object.entries(said)) {
    assert(cause.test(text), `${who} does not say ${cause}: ${all}`);
  }
}

/** The error document; empty if there is none. */
export function documentOf({ stdout }: Finished): Json {
  return stdout.trim() === "" ? {} : JSON.parse(stdout);
}

/** For a table: the code and the message, or that the command succeeded. */
export function summaryOf(answer: Finished): string {
  const { code, msg } = documentOf(answer);
  return code === undefined ? "works" : `${code}: ${msg}`;
}

/** For a table: the errors that `doctor` reports. */
export function found({ stdout }: Finished): string {
  const errors = stdout.split("\n").filter((line) => line.startsWith("error"));
  return errors.length === 0 ? "works" : errors.join("; ").replaceAll(/\s+/g, " ");
}
