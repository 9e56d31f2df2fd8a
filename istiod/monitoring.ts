/** Ports 15014 and 8080: metrics and readiness for all, and what istiod knows for its own machine and for accounts of its namespace. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import { describeError } from '../common/core/errors.ts';
import { createServer } from '../common/core/node-http.ts';
import { NoSuchProxy, type Page, toJson } from './debug/pages.ts';
import type { ProfileAnswer } from './debug/profiles.ts';
import { isLoopback } from './ports/loopback.ts';

export interface MonitoringOptions {
  readonly registry: Registry;
  /** Why not; undefined: ready. */
  readonly notReady: () => string | undefined;
  /** Path below /debug/ -> what it shows. */
  readonly debug: Readonly<Record<string, Page>>;
  /** `/debug/pprof/NAME`; undefined: not served. */
  readonly profile: ((name: string, query: URLSearchParams) => Promise<ProfileAnswer>) | undefined;
  /** Whether the bearer of that token may see them from elsewhere. */
  readonly admits: (authorization: string) => Promise<boolean>;
  /** What /version says. */
  readonly version: string;
}

const profiles = 'pprof/';

export function createMonitoring(options: MonitoringOptions): Server {
  return createServer((request, response) => {
    answer(options, request, response).catch((e: unknown) => {
      if (!response.headersSent) reply(response, 500, 'text/plain', `${describeError(e)}\n`);
      else response.destroy();
    });
  });
}

async function answer(options: MonitoringOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname: path, searchParams } = new URL(request.url ?? '/', 'http://localhost');
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
  if (path === '/version') return reply(response, 200, 'text/plain', options.version);
  const name = path.startsWith('/debug/') ? path.slice('/debug/'.length) : '';
  if (name !== '' && !(await mayDebug(options, request))) {
    const text =
      '/debug shows the whole mesh: to this machine, and to a token of an account of the namespace where istiod runs\n';
    return reply(response, 403, 'text/plain', text);
  }
  if (name.startsWith(profiles) && options.profile !== undefined) {
    const answer = await options.profile(name.slice(profiles.length), searchParams);
    if (answer.kind === 'refused') return reply(response, answer.code, 'text/plain', `${answer.reason}\n`);
    return reply(response, 200, 'application/octet-stream', answer.body);
  }
  const show = Object.hasOwn(options.debug, name) ? options.debug[name] : undefined;
  if (show !== undefined) {
    try {
      const shown = show(searchParams);
      if (typeof shown === 'string') return reply(response, 200, 'text/plain', shown);
      return reply(response, 200, 'application/json', `${toJson(shown)}\n`);
    } catch (e) {
      if (e instanceof NoSuchProxy) return reply(response, 404, 'text/plain', `${e.message}\n`);
      throw e;
    }
  }
  const measured = options.profile === undefined ? [] : [`${profiles}profile`, `${profiles}heap`];
  const pages = [...Object.keys(options.debug), ...measured].map((d) => `/debug/${d}`);
  const paths = ['/metrics', '/ready', '/version', ...pages];
  reply(response, 404, 'text/plain', `not found; there is ${paths.join(', ')}\n`);
}

async function mayDebug({ admits }: MonitoringOptions, request: IncomingMessage): Promise<boolean> {
  if (isLoopback(request.socket.remoteAddress ?? '')) return true;
  const { authorization } = request.headers;
  return authorization !== undefined && admits(authorization);
}

function reply(response: ServerResponse, code: number, type: string, body: string | Buffer): void {
  response.writeHead(code, { 'content-type': type });
  response.end(body);
}
