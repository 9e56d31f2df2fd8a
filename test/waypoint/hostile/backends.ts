/** What is behind a waypoint that hostile peers come to. */
import { createServer, type Server } from 'node:http';
import {
  createServer as createHttp2,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Backends } from './bootstrap.ts';

/** What paths with `/big` are answered with. */
export const big = Buffer.alloc(16 * 1_048_576);

/** Paths that contain `/hold` are not answered, and their body is not read. */
export interface BackendServers extends Backends {
  /** Paths, in order; of `/neighbour` none. */
  readonly seen: readonly string[];
  forget(): void;
  close(): void;
}

export async function startBackends(): Promise<BackendServers> {
  const seen: string[] = [];
  const first = createServer((asked, answer) => {
    if (asked.url !== '/neighbour') seen.push(asked.url!);
    if (asked.url!.includes('/hold')) {
      asked.pause();
      return;
    }
    if (asked.url!.includes('/big')) {
      answer.end(big);
      return;
    }
    asked.resume();
    asked.on('end', () => answer.end('ok'));
  });
  first.requestTimeout = 0;
  first.keepAliveTimeout = 60_000;
  const sessions = new Set<ServerHttp2Session>();
  const second = createHttp2({ maxSessionMemory: 4_000 });
  second.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined);
    session.on('close', () => sessions.delete(session));
  });
  second.on('stream', (stream: ServerHttp2Stream, headers) => {
    seen.push(headers[':path']!);
    stream.on('error', () => undefined);
    if (headers[':path']!.includes('/hold')) return;
    stream.resume();
    stream.respond({ ':status': 200 });
    stream.end(headers[':path']!.includes('/big') ? big : 'ok');
  });
  const http1 = await listen(first);
  return {
    http1,
    neighbours: http1,
    http2: await listen(second),
    seen,
    forget() {
      seen.length = 0;
    },
    close() {
      first.closeAllConnections();
      first.close();
      for (const session of sessions) session.destroy();
      second.close();
    },
  };
}

async function listen(server: Server | Http2Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
