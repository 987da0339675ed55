import { ensureDirSync } from "@std/fs/ensure-dir";
import { dirname, join } from "@std/path/posix";
import { CniError, quote } from "./errors.ts";
import { isObject, type JsonObject } from "./fields.ts";
import { tryIpv4 } from "./ipv4.ts";
import { emptyState, type LeaseNote, Ledger, type PoolNote, SCHEMA, type State } from "./ledger.ts";
import type { NetworkName } from "./names.ts";
import { STATE_FOLDER } from "./scope.ts";

const LARGEST_FILE = 128 * 1024 * 1024;

/** A state as it was read, and the open file it came from: as long as that is the file by name, it is current. */
export interface Snapshot {
  readonly ledger: Ledger;
  readonly file?: Deno.FsFile;
}

export function statePath(dataDir: string, network: NetworkName): string {
  return join(dataDir, `${network}.json`);
}

/** An operating system's error as one of code 5. */
export function ioError(action: string, path: string, error: unknown): CniError {
  const found = error instanceof Error ? error.message : String(error);
  return new CniError(5, `Cannot ${action} "${path}": ${found}`, {
    details: `look at the disk (df, mount) and the folder (ls -ld ${
      dirname(path)
    }); it must be root's and writable`,
    cause: error,
  });
}

function damaged(path: string, found: string, cause?: unknown): CniError {
  return new CniError(104, `Cannot read "${path}" as a state file: ${found}`, {
    details: "no address is given until it is mended: atomicni repair < CONFIGURATION",
    cause,
  });
}

/**
 * Makes sure that `dataDir` is a folder of root's alone, `STATE_FOLDER` and what is between included. A symlink
 * would lead out of the permission scope and is refused (code 5).
 */
export function prepareFolder(dataDir: string): void {
  for (let folder = dataDir; folder.length >= STATE_FOLDER.length; folder = dirname(folder)) {
    const found = tryLstat(folder);
    if (found === undefined) continue;
    checkFolder(folder, found);
  }
  try {
    ensureDirSync(dataDir);
    for (let folder = dataDir; folder.length >= STATE_FOLDER.length; folder = dirname(folder)) {
      const mode = Deno.lstatSync(folder).mode ?? 0;
      if ((mode & 0o777) !== 0o700) Deno.chmodSync(folder, 0o700);
    }
  } catch (error) {
    throw ioError("make the state folder", dataDir, error);
  }
}

/** Code 5 where the state folder is there and can't be written: its own mode is set again, which changes nothing. */
export function checkWritable(dataDir: string): void {
  const found = tryLstat(dataDir);
  if (found === undefined) return;
  checkFolder(dataDir, found);
  try {
    Deno.chmodSync(dataDir, (found.mode ?? 0o700) & 0o7777);
  } catch (error) {
    throw ioError("write to", dataDir, error);
  }
}

function checkFolder(folder: string, found: Deno.FileInfo): void {
  const wrong = found.isSymlink
    ? "it is a symbolic link"
    : !found.isDirectory
    ? "it is no folder"
    : found.uid !== 0
    ? `it belongs to user ${found.uid}, not to root`
    : undefined;
  if (wrong === undefined) return;
  throw new CniError(5, `Cannot use "${folder}" as the state folder: ${wrong}`, {
    details: `move it away (mv ${folder} ${folder}.old); it is made anew, of root's alone`,
  });
}

function tryLstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw ioError("look at", path, error);
  }
}

/** Whether there is a state file, and one that may be opened; what it holds is not looked at. Codes 5, 104. */
export function checkReadable(dataDir: string, network: NetworkName): boolean {
  const path = statePath(dataDir, network);
  for (let folder = dataDir; folder.length >= STATE_FOLDER.length; folder = dirname(folder)) {
    const found = tryLstat(folder);
    if (found !== undefined) checkFolder(folder, found);
  }
  const found = tryLstat(path);
  if (found === undefined) return false;
  if (!found.isFile) throw damaged(path, "it is no regular file");
  if (found.size > LARGEST_FILE) throw damaged(path, `it has ${found.size} bytes`);
  return true;
}

/** Reads the network's state without a lock, for a file is only ever replaced whole. Missing is empty. */
export async function readState(dataDir: string, network: NetworkName): Promise<Snapshot> {
  const path = statePath(dataDir, network);
  if (!checkReadable(dataDir, network)) return { ledger: new Ledger(emptyState(), "missing") };
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { read: true });
  } catch (error) {
    // Renamed away between the look and the open: another file stands there now.
    if (error instanceof Deno.errors.NotFound) return await readState(dataDir, network);
    if (error instanceof Deno.errors.PermissionDenied) {
      throw damaged(path, "permission denied", error);
    }
    throw ioError("open", path, error);
  }
  try {
    const bytes = readAll(file);
    const ledger = await sealedLedger(bytes) ?? new Ledger(parseState(bytes, path));
    return { ledger, file };
  } catch (error) {
    file.close();
    throw error instanceof CniError ? error : ioError("read", path, error);
  }
}

/** Is `snapshot` what the file by that name holds now? An open file's inode can't be given to another. */
export function isCurrent({ file }: Snapshot, dataDir: string, network: NetworkName): boolean {
  const path = statePath(dataDir, network);
  const now = tryLstat(path);
  if (file === undefined || now === undefined) return file === undefined && now === undefined;
  try {
    const then = file.statSync();
    return then.ino === now.ino && then.dev === now.dev;
  } catch (error) {
    throw ioError("look at", path, error);
  }
}

function readAll(file: Deno.FsFile): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(file.statSync().size);
  let length = 0;
  while (length < bytes.length) {
    const read = file.readSync(bytes.subarray(length));
    if (read === null) break;
    length += read;
  }
  return bytes.subarray(0, length);
}

const SEAL = ',"seal":"';
/** 128 bits of a SHA-256 as hexadecimal digits. */
const SEAL_DIGITS = 32;
const SEAL_LENGTH = ending("").length + SEAL_DIGITS;

async function sealOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex().slice(0, SEAL_DIGITS);
}

/**
 * The leases of a file that ends in the seal over all that stands before it. It is what this program wrote, whole, and
 * checking a thousand leases again would tell nothing. Whoever edits the file breaks the seal, and all is checked.
 */
async function sealedLedger(bytes: Uint8Array<ArrayBuffer>): Promise<Ledger | undefined> {
  const cut = bytes.length - SEAL_LENGTH;
  if (cut <= 0) return undefined;
  const decoder = new TextDecoder();
  const sealing = sealOf(bytes.subarray(0, cut));
  const text = decoder.decode(bytes.subarray(0, cut)); // while another thread is at the hash
  const isSealed = decoder.decode(bytes.subarray(cut)) === ending(await sealing);
  return isSealed ? Ledger.fromSealed(text) : undefined;
}

function ending(seal: string): string {
  return `${SEAL}${seal}"}\n`;
}

/** The state in `bytes`, its two maps checked against each other. Code 104 for anything else (DESIGN §5). */
export function parseState(bytes: Uint8Array, path: string): State {
  if (bytes.length === 0) throw damaged(path, "it is empty");
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    throw damaged(path, error instanceof Error ? error.message : "it is no JSON", error);
  }
  if (!isObject(value)) throw damaged(path, "it holds no object");
  const { schema, lastReserved, leases = {} } = value;
  if (typeof schema === "number" && schema > SCHEMA) {
    throw new CniError(
      104,
      `Cannot read "${path}" as a state file of schema ${SCHEMA}: it has schema ${schema}`,
      {
        details:
          "a newer atomicni wrote it: install that version again, or drain the node and remove the file",
      },
    );
  }
  if (schema !== undefined && schema !== SCHEMA) {
    throw damaged(path, `its schema is ${quote(schema)}`);
  }
  const last = lastReserved ?? "";
  if (typeof last !== "string" || (last !== "" && tryIpv4(last) === undefined)) {
    throw damaged(path, `lastReserved is ${quote(lastReserved)}, no IPv4 address`);
  }
  const maps = crossCheck(value["containerToIP"], value["ipToContainer"], path);
  const checked = checkNotes(leases, maps.ipToContainer, path);
  const pool = value["pool"] === undefined ? undefined : poolNote(value["pool"], path);
  if (hasDoubleKeys(text, value)) throw damaged(path, "a key stands in it twice");
  return { ...maps, lastReserved: last, leases: checked, ...(pool && { pool }) };
}

/** The two maps, each owner's address held by that owner and nobody else. */
function crossCheck(
  containerToIP: unknown,
  ipToContainer: unknown,
  path: string,
): Pick<State, "containerToIP" | "ipToContainer"> {
  if (!isObject(containerToIP)) {
    throw damaged(path, `containerToIP is ${quote(containerToIP)}, no object`);
  }
  if (!isObject(ipToContainer)) {
    throw damaged(path, `ipToContainer is ${quote(ipToContainer)}, no object`);
  }
  let owners = 0;
  for (const owner in containerToIP) {
    const address = containerToIP[owner];
    if (typeof address !== "string" || tryIpv4(address) === undefined) {
      throw damaged(path, `${quote(owner)} has ${quote(address)}, no IPv4 address`);
    }
    const other = ipToContainer[address];
    if (other !== owner) {
      const whom = other === undefined ? "nobody" : quote(other);
      throw damaged(path, `${quote(owner)} has ${address}, which is noted for ${whom}`);
    }
    owners++;
  }
  // As many addresses as owners, and each owner's is its own: no other address is left.
  const addresses = Object.keys(ipToContainer).length;
  if (addresses !== owners) throw damaged(path, `${owners} owners have ${addresses} addresses`);
  return {
    containerToIP: containerToIP as Record<string, string>,
    ipToContainer: ipToContainer as Record<string, string>,
  };
}

/** What is noted of leases, each with an owner. */
function checkNotes(
  value: unknown,
  ipToContainer: Record<string, string>,
  path: string,
): Record<string, LeaseNote> {
  if (!isObject(value)) throw damaged(path, `leases is ${quote(value)}, no object`);
  for (const ip in value) {
    const note = value[ip];
    if (!Object.hasOwn(ipToContainer, ip)) {
      throw damaged(path, `leases has ${quote(ip)}, which nobody holds`);
    }
    if (!isObject(note) || typeof note["since"] !== "string" || typeof note["veth"] !== "string") {
      throw damaged(path, `leases[${quote(ip)}] is ${quote(note)}`);
    }
    for (const key in note) {
      const said = note[key];
      if (typeof said !== "string") {
        throw damaged(path, `leases[${quote(ip)}].${key} is ${quote(said)}`);
      }
    }
  }
  return value as Record<string, LeaseNote>;
}

function poolNote(value: unknown, path: string): PoolNote {
  const { subnet, gateway, rangeStart, rangeEnd }: JsonObject = isObject(value) ? value : {};
  if (
    typeof subnet !== "string" || typeof gateway !== "string" ||
    typeof rangeStart !== "string" || typeof rangeEnd !== "string"
  ) {
    throw damaged(path, `pool is ${quote(value)}`);
  }
  return { subnet, gateway, rangeStart, rangeEnd };
}

/** `JSON.parse` keeps the last of two equal keys; the text is then longer than what it holds. */
function hasDoubleKeys(text: string, value: unknown): boolean {
  const compact = text.replaceAll(/("(?:[^"\\]|\\.)*")|\s+/g, "$1");
  return compact.length !== JSON.stringify(value).length;
}

/**
 * Replaces the network's state file: exclusive temporary file, write, fsync, rename, fsync of the folder. Either
 * the old or the new file is there, whole, whenever the power goes. The caller holds the lock. Code 5.
 */
export async function writeState(
  dataDir: string,
  network: NetworkName,
  ledger: Ledger,
): Promise<void> {
  const path = statePath(dataDir, network);
  const temporary = join(dataDir, temporaryName(network));
  const bytes = new TextEncoder().encode(ledger.toText());
  try {
    await writeSealed(temporary, bytes);
    Deno.renameSync(temporary, path);
    syncFolder(dataDir);
  } catch (error) {
    removeQuietly(temporary);
    throw ioError("write", path, error);
  }
}

async function writeSealed(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  using file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
  const sealing = sealOf(bytes);
  writeAll(file, bytes); // while another thread is at the hash
  writeAll(file, new TextEncoder().encode(ending(await sealing)));
  file.syncDataSync();
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

function syncFolder(path: string): void {
  using folder = Deno.openSync(path, { read: true });
  folder.syncSync();
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Not made, renamed already, or swept by the next run.
  }
}

/** A name no network's state or lock can have, for those start with a letter or digit. */
function temporaryName(network: NetworkName): string {
  return `.${network}.${crypto.getRandomValues(new Uint8Array(8)).toHex()}.tmp`;
}

/** Paths of the temporaries of this network: what is being written, and what killed runs left. */
export function temporaries(dataDir: string, network: NetworkName): string[] {
  try {
    return [...Deno.readDirSync(dataDir)].map(({ name }) => name).filter((name) =>
      name.startsWith(`.${network}.`) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(network.length + 2))
    ).map((name) => join(dataDir, name));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw ioError("list", dataDir, error);
  }
}

/** Removes the temporaries that killed runs left for this network. The caller holds the lock, so none is in use. */
export function sweepTemporaries(dataDir: string, network: NetworkName): void {
  for (const path of temporaries(dataDir, network)) removeQuietly(path);
}
