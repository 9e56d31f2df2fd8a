/** Port 15014: metrics and readiness for all, and what istiod knows for people on its own machine. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { BlockList } from 'node:net';
import type { Registry } from 'prom-client';
import { describeError } from '../common/core/errors.ts';

export interface MonitoringOptions {
  readonly registry: Registry;
  /** Why not; undefined: ready. */
  readonly notReady: () => string | undefined;
  /** Path below /debug/ -> what it shows, as JSON. */
  readonly debug: Readonly<Record<string, () => unknown>>;
}

export function createMonitoring(options: MonitoringOptions): Server {
  return createServer((request, response) => {
    answer(options, request, response).catch((e: unknown) => {
      if (!response.headersSent) reply(response, 500, 'text/plain', `${describeError(e)}\n`);
      else response.destroy();
    });
  });
}

async function answer(options: MonitoringOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '').split('?')[0] ?? '';
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return reply(response, 405, 'text/plain', 'only GET is served here\n');
  }
  if (path === '/metrics') {
    return reply(response, 200, options.registry.contentType, await options.registry.metrics());
  }
  if (path === '/ready') {
    const reason = options.notReady();
    return reply(response, reason === undefined ? 200 : 503, 'text/plain', `${reason ?? 'ok'}\n`);
  }
  if (path.startsWith('/debug/') && !isLocal(request)) {
    const text = '/debug shows the whole mesh and is served on this machine only: ask for it from where istiod runs\n';
    return reply(response, 403, 'text/plain', text);
  }
  const name = path.startsWith('/debug/') ? path.slice('/debug/'.length) : '';
  const show = Object.hasOwn(options.debug, name) ? options.debug[name] : undefined;
  if (show !== undefined) {
    return reply(response, 200, 'application/json', `${JSON.stringify(show(), undefined, 2)}\n`);
  }
  const paths = ['/metrics', '/ready', ...Object.keys(options.debug).map((d) => `/debug/${d}`)];
  reply(response, 404, 'text/plain', `not found; there is ${paths.join(', ')}\n`);
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** A socket for both families shows IPv4 clients as ::ffff:a.b.c.d, which BlockList knows. */
function isLocal({ socket: { remoteAddress = '' } }: IncomingMessage): boolean {
  return loopback.check(remoteAddress, remoteAddress.includes(':') ? 'ipv6' : 'ipv4');
}

function reply(response: ServerResponse, code: number, type: string, body: string): void {
  response.writeHead(code, { 'content-type': type });
  response.end(body);
}
