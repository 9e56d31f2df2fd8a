/**
 * A watch on a connection of its own that costs its process little, so that a hundred of them tell the server's time and not the
 * client's: HTTP/2 (RFC 9113) as far as one request needs it. Node's own client takes longer to read an event than the server to send it.
 */
import { once } from 'node:events';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { Kubeconfig } from '../../istiod/apiserver/testing/client.ts';

const [data, headersFrame, settings, windowUpdate] = [0, 1, 4, 8];
const acknowledgement = 1;
const endOfHeaders = 4;
const largestWindow = 2 ** 31 - 1;
const initialWindowSize = 4;
const newLine = 0x0a;
const none = Buffer.alloc(0);

/** All read into one: a chunk each would make this process collect its garbage every thirty changes, for longer than a change takes. */
const chunks = Buffer.alloc(64 * 1024);

/** Calls for each event, once its last byte is there. */
export class Watcher {
  readonly #socket: TLSSocket;
  readonly #onEvent: () => void;
  readonly #answered = Promise.withResolvers<void>();
  #rest: Buffer = none;

  private constructor({ server, ca }: Kubeconfig, onEvent: () => void) {
    const { hostname, port } = new URL(server);
    this.#onEvent = onEvent;
    const callback = (bytes: number): boolean => {
      this.#answered.resolve();
      this.#read(chunks.subarray(0, bytes));
      return true;
    };
    const onread = { buffer: chunks, callback };
    this.#socket = connect({
      host: hostname,
      port: Number(port),
      ca,
      ALPNProtocols: ['h2'],
      onread,
    } as ConnectionOptions);
  }

  /** Resolves when the server has begun to answer. */
  static async open(config: Kubeconfig, path: string, onEvent: () => void): Promise<Watcher> {
    const watcher = new Watcher(config, onEvent);
    await once(watcher.#socket, 'secureConnect');
    const window = Buffer.alloc(6);
    window.writeUInt16BE(initialWindowSize);
    window.writeUInt32BE(largestWindow, 2);
    const more = Buffer.alloc(4);
    more.writeUInt32BE(largestWindow - 65_535);
    const head = {
      ':method': 'GET',
      ':scheme': 'https',
      ':authority': new URL(config.server).host,
      ':path': path,
      authorization: `Bearer ${config.token}`,
    };
    watcher.#socket.write(
      Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        frame(settings!, 0, 0, window),
        frame(windowUpdate!, 0, 0, more),
        frame(headersFrame!, endOfHeaders | 1, 1, Buffer.concat(Object.entries(head).map(field))),
      ]),
    );
    await watcher.#answered.promise;
    return watcher;
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 9) {
      const length = bytes.readUIntBE(0, 3);
      if (bytes.length < 9 + length) break;
      const [type, flags] = [bytes[3], bytes[4]!];
      if (type === data && length > 0 && bytes[8 + length] === newLine) this.#onEvent();
      if (type === settings && (flags & acknowledgement) === 0)
        this.#socket.write(frame(settings, acknowledgement, 0, Buffer.alloc(0)));
      bytes = bytes.subarray(9 + length);
    }
    this.#rest = bytes.length === 0 ? none : Buffer.from(bytes);
  }
}

/** RFC 9113 4.1. */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A literal that enters no table, without Huffman's code (RFC 7541 6.2.2). */
function field([name, value]: readonly [string, string]): Buffer {
  return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
}

/** RFC 7541 5.1 and 5.2, with a prefix of seven bits. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const length: number[] = [];
  if (bytes.length < 127) length.push(bytes.length);
  else {
    length.push(127);
    let left = bytes.length - 127;
    for (; left >= 128; left = Math.floor(left / 128)) length.push((left % 128) + 128);
    length.push(left);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}
