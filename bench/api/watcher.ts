/**
 * A watch on a connection of its own that costs its process little, so that a hundred of them tell the server's time and not the
 * client's: HTTP/2 (RFC 9113) as far as one request needs it. Node's own client takes longer to read an event than the server to send it.
 */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import type { Kubeconfig } from '../../istiod/apiserver/testing/client.ts';

const [data, headersFrame, settings, windowUpdate] = [0, 1, 4, 8];
const acknowledgement = 1;
const endOfHeaders = 4;
const largestWindow = 2 ** 31 - 1;
const initialWindowSize = 4;
const newLine = 0x0a;

/** Calls for each event, once its last byte is there. */
export class Watcher {
  readonly #socket: TLSSocket;
  #rest = Buffer.alloc(0);

  private constructor(socket: TLSSocket, onEvent: () => void) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#read(chunk, onEvent));
  }

  /** Resolves when the server has begun to answer. */
  static async open({ server, ca, token }: Kubeconfig, path: string, onEvent: () => void): Promise<Watcher> {
    const { hostname, port, host } = new URL(server);
    const socket = connect({ host: hostname, port: Number(port), ca, ALPNProtocols: ['h2'] });
    await once(socket, 'secureConnect');
    const answered = once(socket, 'data');
    const watcher = new Watcher(socket, onEvent);
    const window = Buffer.alloc(6);
    window.writeUInt16BE(initialWindowSize);
    window.writeUInt32BE(largestWindow, 2);
    const more = Buffer.alloc(4);
    more.writeUInt32BE(largestWindow - 65_535);
    const head = {
      ':method': 'GET',
      ':scheme': 'https',
      ':authority': host,
      ':path': path,
      authorization: `Bearer ${token}`,
    };
    socket.write(
      Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        frame(settings!, 0, 0, window),
        frame(windowUpdate!, 0, 0, more),
        frame(headersFrame!, endOfHeaders | 1, 1, Buffer.concat(Object.entries(head).map(field))),
      ]),
    );
    await answered;
    return watcher;
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer, onEvent: () => void): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 9) {
      const length = bytes.readUIntBE(0, 3);
      if (bytes.length < 9 + length) break;
      const [type, flags] = [bytes[3], bytes[4]!];
      if (type === data && length > 0 && bytes[8 + length] === newLine) onEvent();
      if (type === settings && (flags & acknowledgement) === 0)
        this.#socket.write(frame(settings, acknowledgement, 0, Buffer.alloc(0)));
      bytes = bytes.subarray(9 + length);
    }
    this.#rest = Buffer.from(bytes);
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
