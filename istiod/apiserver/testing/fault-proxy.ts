/** Between a client and an API server: passes on, until it is told what to break. */
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ApiAccess } from '../../../common/kube/client/access.ts';
import type { TestClient } from './client.ts';

export type Fault =
  /** Answers so instead of asking the server. */
  | { readonly kind: 'answer'; readonly code: number; readonly body: string }
  /** The connection breaks after so many bytes of the body. */
  | { readonly kind: 'cut'; readonly after: number }
  /** Never answers. */
  | { readonly kind: 'silence' };

export interface FaultProxy extends AsyncDisposable {
  readonly access: ApiAccess;
  /** Asked for every request. */
  fault: (request: { readonly method: string; readonly path: string; readonly watch: boolean }) => Fault | undefined;
  /** Requests so far. */
  readonly requests: readonly string[];
  /** Breaks every connection. */
  cutAll(): void;
}

export async function startFaultProxy(to: TestClient): Promise<FaultProxy> {
  const requests: string[] = [];
  const server = http.createServer((request, response) => {
    const url = request.url ?? '';
    requests.push(`${request.method} ${url}`);
    const method = request.method ?? '';
    const fault = proxy.fault({ method, path: url, watch: url.includes('watch=true') });
    if (fault?.kind === 'silence') return;
    if (fault?.kind === 'answer') {
      response.writeHead(fault.code, { 'content-type': 'application/json' }).end(fault.body);
      return;
    }
    pass(to, request, response, fault?.after).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: FaultProxy = {
    access: {
      server: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
      ca: undefined,
      insecure: false,
      serverName: undefined,
      proxy: undefined,
      credentials: { kind: 'none' },
      impersonate: undefined,
      namespace: 'default',
    },
    fault: () => undefined,
    requests,
    cutAll: () => server.closeAllConnections(),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
  return proxy;
}

async function pass(
  to: TestClient,
  request: IncomingMessage,
  response: ServerResponse,
  cutAfter: number | undefined,
): Promise<void> {
  const body: Buffer[] = [];
  for await (const chunk of request) body.push(chunk as Buffer);
  const type = request.headers['content-type'];
  const answer = await to.open(request.url ?? '', {
    method: request.method ?? 'GET',
    ...(body.length === 0 ? {} : { body: Buffer.concat(body) }),
    ...(type === undefined ? {} : { type }),
  });
  response.on('close', () => answer.destroy());
  response.writeHead(answer.statusCode ?? 502, { 'content-type': 'application/json' });
  response.flushHeaders();
  let left = cutAfter ?? Number.POSITIVE_INFINITY;
  for await (const chunk of answer) {
    const bytes = (chunk as Buffer).subarray(0, left);
    left -= bytes.length;
    if (left > 0) response.write(bytes);
    // Written and sent before the connection ends.
    else return void response.write(bytes, () => response.destroy());
  }
  response.end();
}
