/** The console: pages for a browser, and what they show as JSON, for the bearer of a Kubernetes token. It only reads. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Reader } from './access.ts';
import { webFile } from './files.ts';

/** What a page shows to a reader. */
export type ConsolePage = (reader: Reader, query: URLSearchParams) => Promise<PageAnswer>;

export type PageAnswer =
  | { readonly kind: 'ok'; readonly body: unknown }
  | { readonly kind: 'wrong'; readonly status: 400 | 403 | 404; readonly message: string };

export interface ConsoleOptions {
  /** By the last part of the path. */
  readonly pages: Readonly<Record<string, ConsolePage>>;
  /** undefined: the token is nobody's. */
  readonly reader: (token: string) => Promise<Reader | undefined>;
  readonly log: Logger;
}

const root = '/console/';
const api = '/console/api/';

/** Scripts and styles are its own, nothing is fetched from elsewhere, and no other page may hold it in a frame. */
const guards = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

export function consoleAnswers(options: ConsoleOptions): RequestListener {
  return (request, response) => {
    answer(options, request, response).catch((e: unknown) => {
      options.log.warn('the console cannot answer', { path: request.url, error: describeError(e) });
      if (!response.headersSent)
        send(response, 503, { message: `the API server does not answer: ${describeError(e)}` });
      else response.destroy();
    });
  };
}

async function answer(options: ConsoleOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname: path, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return send(response, 405, { message: 'the console only reads' });
  if (path === '/' || path === '/console') {
    response.writeHead(302, { ...guards, location: root });
    response.end();
    return;
  }
  if (!path.startsWith(api)) {
    const file = path.startsWith(root) ? await webFile(path.slice(root.length)) : undefined;
    if (file === undefined) return send(response, 404, { message: `there is no ${path}` });
    response.writeHead(200, { ...guards, 'content-type': file.type });
    response.end(file.body);
    return;
  }
  const [, token] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  const reader = token === undefined ? undefined : await options.reader(token);
  if (reader === undefined) {
    const message = token === undefined ? 'a Kubernetes token is asked for' : 'the API server does not know this token';
    response.setHeader('www-authenticate', 'Bearer');
    return send(response, 401, { message });
  }
  const name = path.slice(api.length);
  const page = Object.hasOwn(options.pages, name) ? options.pages[name] : undefined;
  if (page === undefined) return send(response, 404, { message: `there is no page ${name}` });
  const answered = await page(reader, searchParams);
  if (answered.kind === 'wrong') return send(response, answered.status, { message: answered.message });
  send(response, 200, answered.body);
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { ...guards, 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
