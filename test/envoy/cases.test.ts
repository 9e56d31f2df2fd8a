/** What istiod makes of each case does in a stock Envoy what the case says. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { structToJson } from '../../common/envoy/fields.ts';
import type { Route } from '../../istiod/envoy/routes/envoy.ts';
import { httpRoutesOf } from '../../istiod/envoy/routes/http.ts';
import { peerPrincipal } from '../../istiod/envoy/routes/matchers.ts';
import { objects, service, viewOf, waypointContext } from '../../istiod/envoy/routes/testing/view.ts';
import { Envoy, skipWithoutEnvoy } from '../harness/envoy.ts';
import { routeCases } from './cases/all.ts';
import { type CaseRequest, type Expectation, type RouteCase, services } from './cases/case.ts';

const mesh = services.map(service);

interface Prepared {
  readonly of: RouteCase;
  readonly routes: readonly Route[];
}

const prepared: readonly Prepared[] = routeCases.map((of) => ({
  of,
  routes: httpRoutesOf(waypointContext(viewOf(mesh, objects(of.objects)), mesh[0]!, 80)).routes,
}));

/** As listeners are named: the identity of the callers of each. */
const listenerName = (index: number, principal = '') => `${index} ${principal}`;

describe('cases in a stock Envoy', { skip: skipWithoutEnvoy() }, async () => {
  it('do what they say', async (t) => {
    await using echoes = await Echoes.start(clustersOf(prepared));
    await using envoy = await Envoy.start(bootstrap(echoes.ports));
    for (const [index, { of }] of prepared.entries()) {
      await t.test(of.name, async () => {
        for (const one of of.requests) {
          const port = await envoy.port(listenerName(index, one.principal));
          check(await send(port, one), one.expect, `${one.method ?? 'GET'} ${one.path}`);
        }
      });
    }
  });
});

/** Names of clusters that the mesh has: `UnknownService` and those of services that are missing are not among them. */
function clustersOf(all: readonly Prepared[]): readonly string[] {
  const names = new Set<string>();
  for (const { routes } of all) {
    for (const route of routes) {
      if (!('route' in route)) continue;
      const { cluster, weighted_clusters, request_mirror_policies = [] } = route.route;
      for (const name of [cluster, ...(weighted_clusters?.clusters ?? []).map((c) => c.name)])
        if (name) names.add(name);
      for (const mirror of request_mirror_policies) names.add(mirror.cluster);
    }
  }
  return [...names].filter((name) => name.startsWith('inbound-vip|'));
}

/** `inbound-vip|80|http/v1|web.shop.svc.cluster.local` -> `web/v1`. */
function shortName(cluster: string): string {
  const [, , kind = '', host = ''] = cluster.split('|');
  const subset = kind.slice('http'.length);
  return `${host.split('.')[0]}${subset}`;
}

/** Servers that say what they got. */
class Echoes implements AsyncDisposable {
  readonly ports: ReadonlyMap<string, number>;
  readonly #servers: readonly Server[];

  private constructor(ports: ReadonlyMap<string, number>, servers: readonly Server[]) {
    this.ports = ports;
    this.#servers = servers;
  }

  static async start(clusters: readonly string[]): Promise<Echoes> {
    const ports = new Map<string, number>();
    const servers: Server[] = [];
    const calls = new Map<string, number>();
    for (const cluster of clusters) {
      const server = createServer((asked, answer) => {
        const {
          'x-echo-id': id = '',
          'x-echo-fail': fail = '0',
          'x-echo-cut': cut = '0',
          'x-echo-hang': hang = '0',
        } = asked.headers as Record<string, string>;
        const count = (calls.get(id) ?? 0) + 1;
        calls.set(id, count);
        if (count <= Number(cut)) {
          asked.socket.destroy();
          return;
        }
        if (hang !== '0' && (id === '' || count <= Number(hang))) return;
        const status = count <= Number(fail) ? 503 : 200;
        answer.writeHead(status, { 'x-upstream': 'yes' });
        answer.end(JSON.stringify({ to: shortName(cluster), path: asked.url, headers: asked.headers }));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      ports.set(cluster, (server.address() as AddressInfo).port);
      servers.push(server);
    }
    return new Echoes(ports, servers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }
}

function bootstrap(ports: ReadonlyMap<string, number>) {
  return {
    static_resources: {
      listeners: prepared.flatMap(({ of, routes }, index) =>
        [...new Set(of.requests.map((r) => r.principal))].map((principal) =>
          listener(listenerName(index, principal), routes, principal),
        ),
      ),
      clusters: [...ports].map(([name, port]) => ({
        name,
        type: 'STATIC',
        load_assignment: {
          cluster_name: name,
          endpoints: [
            {
              lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }],
            },
          ],
        },
      })),
    },
  };
}

function listener(name: string, routes: readonly Route[], principal: string | undefined) {
  const filter = (of: string, message: string, rest: object = {}) => ({
    name: of,
    typed_config: { '@type': typeUrl(message), ...rest },
  });
  const manager = filter('hcm', 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'x',
    normalize_path: true,
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: json(routes) }], validate_clusters: false },
    http_filters: [
      filter('envoy.filters.http.fault', 'envoy.extensions.filters.http.fault.v3.HTTPFault'),
      filter('envoy.filters.http.cors', 'envoy.extensions.filters.http.cors.v3.Cors'),
      filter('envoy.filters.http.router', 'envoy.extensions.filters.http.router.v3.Router'),
    ],
  });
  const identity = filter('identity', 'envoy.extensions.filters.network.set_filter_state.v3.Config', {
    on_new_connection: [
      {
        object_key: peerPrincipal,
        factory_key: 'envoy.string',
        format_string: { text_format_source: { inline_string: principal } },
      },
    ],
  });
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [{ filters: principal === undefined ? [manager] : [identity, manager] }],
  };
}

/** As protobuf's JSON: durations as texts, wrappers as what they hold, bytes in base64. */
function json(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('base64');
  if (Array.isArray(value)) return value.map(json);
  if (typeof value !== 'object' || value === null) return value;
  const keys = Object.keys(value);
  const { seconds, nanos = 0, fields } = value as { seconds?: number; nanos?: number; fields?: object };
  if (seconds !== undefined) return `${seconds + nanos / 1e9}s`;
  if (fields !== undefined) return structToJson(value);
  if (keys.length === 1 && keys[0] === 'value') return (value as { value: unknown }).value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, json(v)]));
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

function send(port: number, { method = 'GET', host = 'web', path, headers = {} }: CaseRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', method, path, headers: { ...headers, host } }, (answer) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        body += chunk;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }));
      answer.on('error', reject);
    });
    asked.on('error', reject);
    asked.end();
  });
}

function check(answer: Answer, expect: Expectation, what: string): void {
  assert.equal(answer.status, expect.status ?? 200, `${what}: ${answer.body}`);
  const echoed = answer.body.startsWith('{"to"')
    ? (JSON.parse(answer.body) as { to: string; path: string; headers: Record<string, string> })
    : undefined;
  assert.equal(echoed?.to, expect.to, what);
  const { path, host, headers = {} } = expect.received ?? {};
  if (path !== undefined) assert.equal(echoed?.path, path, what);
  if (host !== undefined) assert.equal(echoed?.headers['host'], host, what);
  for (const [name, value] of Object.entries(headers))
    assert.equal(echoed?.headers[name] ?? null, value, `${what}: ${name}`);
  for (const [name, value] of Object.entries(expect.response ?? {}))
    assert.equal(answer.headers[name] ?? null, value, `${what}: ${name}`);
  if (expect.body !== undefined) assert.equal(answer.body, expect.body, what);
}
