import type { Disk } from "./disk.ts";

/** has flags, takes flushes, takes forced writes */
const FLAGS = 1 | 4 | 8;
const OPTION = { exportName: 1, abort: 2, info: 6, go: 7 };
const REPLY = { acknowledged: 1, info: 3, unsupported: 0x80000001 };
const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3 };
const INVALID = 22;

/** Serves a disk over NBD at a Unix socket until it is closed. */
export function serve(disk: Disk, socket: string): AsyncDisposable {
  const listener = Deno.listen({ transport: "unix", path: socket });
  const connections = new Set<Deno.Conn>();
  const accepting = (async () => {
    for await (const connection of listener) {
      connections.add(connection);
      new Session(connection, disk).run().catch(() => {}).finally(() => {
        connections.delete(connection);
        close(connection);
      });
    }
  })().catch(() => {});
  return {
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const connection of connections) close(connection);
      await accepting;
      await Deno.remove(socket).catch(() => {});
    },
  };
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}

class Session {
  readonly #connection: Deno.Conn;
  readonly #disk: Disk;
  readonly #chunk = new Uint8Array(1 << 20);
  #buffer = new Uint8Array(0);

  constructor(connection: Deno.Conn, disk: Disk) {
    this.#connection = connection;
    this.#disk = disk;
  }

  async run(): Promise<void> {
    await this.#send(new TextEncoder().encode("NBDMAGICIHAVEOPT"), u16(3));
    const noZeroes = ((await this.#take(4))[3] ?? 0) & 2;
    while (!await this.#option(noZeroes !== 0));
    while (await this.#request());
  }

  /** Whether the negotiation is over. */
  async #option(noZeroes: boolean): Promise<boolean> {
    const head = view(await this.#take(16));
    const option = head.getUint32(8);
    await this.#take(head.getUint32(12));
    const about = [u64(this.#disk.size), u16(FLAGS)];
    const reply = (type: number, ...body: Uint8Array[]) =>
      this.#send(u64(0x3e889045565a9n), u32(option), u32(type), u32(sum(body)), ...body);
    if (option === OPTION.exportName) {
      await this.#send(...about, new Uint8Array(noZeroes ? 0 : 124));
      return true;
    }
    if (option === OPTION.info || option === OPTION.go) {
      await reply(REPLY.info, u16(0), ...about);
      await reply(REPLY.acknowledged);
      return option === OPTION.go;
    }
    if (option === OPTION.abort) throw new Error("aborted by the client");
    await reply(REPLY.unsupported);
    return false;
  }

  /** Whether another request may follow. */
  async #request(): Promise<boolean> {
    const bytes = await this.#take(28);
    const head = view(bytes);
    const [flags, command, length] = [head.getUint16(4), head.getUint16(6), head.getUint32(24)];
    const offset = Number(head.getBigUint64(16));
    const answer = (error: number, ...data: Uint8Array[]) =>
      this.#send(u32(0x67446698), u32(error), bytes.subarray(8, 16), ...data);
    const disk = this.#disk;
    if (command === COMMAND.read) await answer(0, disk.read(offset, length));
    else if (command === COMMAND.write) {
      const data = await this.#take(length);
      disk.write(offset, data, (flags & 1) !== 0);
      await answer(0);
    } else if (command === COMMAND.flush) {
      if (disk.flushError === 0) disk.flush();
      await answer(disk.flushError);
    } else if (command !== COMMAND.disconnect) await answer(INVALID);
    return command !== COMMAND.disconnect;
  }

  async #take(length: number): Promise<Uint8Array> {
    while (this.#buffer.length < length) {
      const got = await this.#connection.read(this.#chunk);
      if (got === null) throw new Error("the client has closed the connection");
      this.#buffer = concat([this.#buffer, this.#chunk.subarray(0, got)]);
    }
    const taken = this.#buffer.slice(0, length);
    this.#buffer = this.#buffer.subarray(length);
    return taken;
  }

  async #send(...parts: Uint8Array[]): Promise<void> {
    const bytes = concat(parts);
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(sum(parts));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function sum(parts: readonly Uint8Array[]): number {
  return parts.reduce((length, part) => length + part.length, 0);
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value);
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  view(bytes).setUint32(0, value);
  return bytes;
}

function u64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  view(bytes).setBigUint64(0, BigInt(value));
  return bytes;
}
