/**
 * Writes objects at little cost to its process: HTTP/1.1 on connections of TLS of its own, one request after another on each. Node's own
 * client takes half as long for a request as the server, and both share the machine with istiod.
 */
import { once } from 'node:events';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { Kubeconfig } from '../../istiod/apiserver/testing/client.ts';

/** All read into one; see bench/api/watcher.ts. */
const chunks = Buffer.alloc(64 * 1024);
const endOfHead = Buffer.from('\r\n\r\n');

/** Merge patches, as many at once as it has connections. */
export class Writer {
  readonly #free: Connection[] = [];
  readonly #all: readonly Connection[];
  readonly #waiting: ((connection: Connection) => void)[] = [];

  private constructor(all: readonly Connection[]) {
    this.#all = all;
    this.#free.push(...all);
  }

  static async open(config: Kubeconfig, connections: number): Promise<Writer> {
    return new Writer(await Promise.all(Array.from({ length: connections }, () => Connection.open(config))));
  }

  async patch(path: string, body: object): Promise<void> {
    const connection = this.#free.pop() ?? (await new Promise<Connection>((resolve) => this.#waiting.push(resolve)));
    await connection.patch(path, JSON.stringify(body));
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(connection);
    else next(connection);
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }
}

class Connection {
  readonly #socket: TLSSocket;
  readonly #head: string;
  #answer: PromiseWithResolvers<void> | undefined;
  #title = '';
  /** What has been read of the head. */
  #read = Buffer.alloc(0);
  /** Bytes of the body that are missing; undefined: the head is. */
  #missing: number | undefined;

  private constructor({ server, ca, token }: Kubeconfig) {
    const { hostname, port, host } = new URL(server);
    this.#head = `HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${token}\r\ncontent-type: application/merge-patch+json\r\ncontent-length: `;
    const callback = (bytes: number): boolean => {
      this.#onData(chunks.subarray(0, bytes));
      return true;
    };
    const onread = { buffer: chunks, callback };
    this.#socket = connect({ host: hostname, port: Number(port), ca, onread } as ConnectionOptions);
    const failed = (reason: string) => this.#answer?.reject(new Error(`${this.#title}: ${reason}`));
    this.#socket.on('error', (e) => failed(e.message));
    this.#socket.on('close', () => failed('the connection ended'));
  }

  static async open(config: Kubeconfig): Promise<Connection> {
    const connection = new Connection(config);
    await once(connection.#socket, 'secureConnect');
    return connection;
  }

  patch(path: string, body: string): Promise<void> {
    this.#answer = Promise.withResolvers<void>();
    this.#title = `PATCH ${path}`;
    this.#socket.write(`PATCH ${path} ${this.#head}${Buffer.byteLength(body)}\r\n\r\n${body}`);
    return this.#answer.promise;
  }

  close(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    let body = chunk.length;
    if (this.#missing === undefined) {
      this.#read = Buffer.concat([this.#read, chunk]);
      const end = this.#read.indexOf(endOfHead);
      if (end < 0) return;
      const head = this.#read.toString('latin1', 0, end).toLowerCase();
      if (!head.startsWith('http/1.1 200 ')) {
        this.#answer?.reject(new Error(`${this.#title}: ${this.#read.toString()}`));
        return;
      }
      this.#missing = Number(/content-length: (\d+)/.exec(head)![1]);
      body = this.#read.length - end - endOfHead.length;
      this.#read = Buffer.alloc(0);
    }
    this.#missing -= body;
    if (this.#missing > 0) return;
    this.#missing = undefined;
    this.#answer?.resolve();
  }
}
