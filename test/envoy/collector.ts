/** Takes spans and logs by HTTP and by gRPC as collectors do, and keeps them. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Of gRPC without its prefix, one of each message. */
  readonly bodies: readonly Buffer[];
}

export class Collector implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly #http: Server;
  readonly #grpc: Http2Server;

  private constructor() {
    this.#http = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        this.received.push({ path: request.url!, headers: request.headers, bodies: [Buffer.concat(chunks)] });
        response.writeHead(200).end();
      });
    });
    this.#grpc = createHttp2Server();
    this.#grpc.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders & { ':path'?: string }) => {
      let rest = Buffer.alloc(0);
      stream.on('error', () => undefined);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.on('data', (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk]);
        // Streams that last are told as they come.
        for (let length = next(rest); length !== undefined; length = next(rest)) {
          const bodies = [rest.subarray(5, 5 + length)];
          this.received.push({ path: headers[':path']!, headers, bodies });
          rest = rest.subarray(5 + length);
        }
      });
      stream.on('end', () => stream.end(Buffer.alloc(5)));
    });
  }

  static async start(): Promise<Collector> {
    const made = new Collector();
    for (const server of [made.#http, made.#grpc]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    return made;
  }

  get httpPort(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  get grpcPort(): number {
    return (this.#grpc.address() as AddressInfo).port;
  }

  bodies(path: string): readonly Buffer[] {
    return this.received.filter((one) => one.path === path).flatMap((one) => one.bodies);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http.close();
    this.#http.closeAllConnections();
    this.#grpc.close();
  }
}

function next(bytes: Buffer): number | undefined {
  if (bytes.length < 5) return undefined;
  const length = bytes.readUInt32BE(1);
  return bytes.length < 5 + length ? undefined : length;
}
