/** `GET /metrics`, `GET /readyz` and `GET /healthz` on the monitoring port, as Istio's agent has them. */
import type { Server } from 'node:http';
import type { Registry } from 'prom-client';
import type { Port } from '../../common/core/net.ts';
import { createServer } from '../../common/core/node-http.ts';

export interface MonitoringOptions {
  readonly port: Port;
  readonly registry: Registry;
  readonly ready: () => boolean;
}

/** Resolves once it listens; rejects when the port is taken. */
export function serveMonitoring({ port, registry, ready }: MonitoringOptions): Promise<Server> {
  const server = createServer((request, response) => {
    const answer = (status: number, body: string) =>
      response.writeHead(status, { 'content-type': 'text/plain' }).end(body);
    const path = request.url?.split('?')[0];
    if (request.method !== 'GET') answer(405, 'use GET\n');
    else if (path === '/healthz') answer(200, 'ok\n');
    else if (path === '/readyz')
      answer(ready() ? 200 : 503, ready() ? 'ready\n' : 'not ready: pods are not known yet\n');
    else if (path === '/metrics') {
      registry.metrics().then(
        (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
        (e: unknown) => answer(500, `${(e as Error).message}\n`),
      );
    } else answer(404, 'only /metrics, /readyz and /healthz are here\n');
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}
