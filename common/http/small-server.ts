/** The small HTTP servers of our proxies: admin, metrics, readiness (ambient-wire 7.3, 7.4). A table of routes each. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describeError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { createServer } from '../core/node-http.ts';

export interface Answer {
  readonly status: number;
  /** In parts: made while it is sent, at the peer's speed. */
  readonly body: string | Buffer | AsyncIterable<string>;
  /** Default text/plain. */
  readonly type?: string;
}

/** Key `METHOD /path`. A path with another method is answered 405, any other 404. */
export type Routes = Readonly<Record<string, (url: URL) => Answer | Promise<Answer>>>;

/** Header of every answer: which of two ztunnels of a node it is from, while one takes over from the other. */
export const instanceHeader = 'aquifer-instance';

/** `instance`: name of the pod; empty: unknown. */
export function createHttpServer(routes: Routes, instance: string, log: Logger): Server {
  const server = createServer((request, response) => {
    if (instance !== '') response.setHeader(instanceHeader, instance);
    route(routes, request).then(
      (answer) => send(answer, response),
      (e: unknown) => {
        log.error('cannot answer a request', { path: request.url, error: describeError(e) });
        response.writeHead(500, { 'content-type': 'text/plain' }).end(`${describeError(e)}\n`);
      },
    );
  });
  // Scrapes and probes are short; a peer that dawdles must not hold descriptors.
  server.requestTimeout = 10_000;
  server.headersTimeout = 5_000;
  server.maxConnections = 100;
  return server;
}

function send({ status, body, type }: Answer, response: ServerResponse): void {
  response.writeHead(status, { 'content-type': type ?? 'text/plain; charset=utf-8' });
  if (typeof body === 'string' || Buffer.isBuffer(body)) response.end(body);
  // A peer that goes away ends it.
  else pipeline(Readable.from(body, { objectMode: true }), response).catch(() => response.destroy());
}

async function route(routes: Routes, request: IncomingMessage): Promise<Answer> {
  const url = URL.parse(request.url ?? '/', 'http://localhost');
  if (!url) return { status: 400, body: 'bad request target\n' };
  const handler = routes[`${request.method} ${url.pathname}`];
  if (handler) return handler(url);
  const known = Object.keys(routes).some((key) => key.endsWith(` ${url.pathname}`));
  return known ? { status: 405, body: 'method not allowed\n' } : { status: 404, body: 'not found\n' };
}

/**
 * Resolves when the server listens; rejects with the system's error, which names address and port. Another ztunnel may listen there,
 * too (SO_REUSEPORT): without a network namespace of its own, as on a lab's node, it cannot take over otherwise.
 */
export function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, reusePort: true }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
