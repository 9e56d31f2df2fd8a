/** One Envoy with several listeners, echo servers behind it, and a client that sends requests as they are. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeEnvoy, encodeEnvoy, type Typed, typeUrl } from '../../common/envoy/codec.ts';
import { Rig } from '../../waypoint/testing/rig.ts';
import { Envoy } from '../harness/envoy.ts';

export const clusters = ['c0', 'c1', 'c2', 'c3'] as const;

export interface Request {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
}

/** What came of a request: what the client saw, and what the upstream did. */
export interface Observed {
  readonly status: number;
  /** The upstream that got it; undefined: none. */
  readonly cluster: string | undefined;
  readonly received: Received | undefined;
  /** Of the response, repeated ones joined. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of answers that come from no upstream. */
  readonly body: string | undefined;
}

export interface Received {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** One listener: a RouteConfiguration as the codec has it, and HttpConnectionManager's options and filters in JSON. */
export interface Site {
  readonly routes: object;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly filters?: readonly object[];
  /** false: not in our waypoint, where a filter is one that the waypoint has not. Default true. */
  readonly alsoOurs?: boolean;
}

interface Ports {
  readonly envoy: readonly number[];
  /** Empty where our waypoint is not asked. */
  readonly ours: readonly number[];
}

/** Headers that every upstream answers with: some for routes to change. */
export const upstreamHeaders = { 'x-up': 'up', 'x-both': 'up' };

export class World implements AsyncDisposable {
  readonly #envoy: Envoy;
  readonly #echoes: readonly Server[];
  readonly #folder: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });
  readonly #rig: Rig;
  /** Of Envoy's and our listeners, by site. */
  readonly ports: Ports;

  private constructor(envoy: Envoy, rig: Rig, echoes: readonly Server[], folder: string, ports: Ports) {
    this.#envoy = envoy;
    this.#rig = rig;
    this.#echoes = echoes;
    this.#folder = folder;
    this.ports = ports;
  }

  static async start(sites: readonly Site[]): Promise<World> {
    const folder = mkdtempSync(join(tmpdir(), 'aq-routes-'));
    const echoes = await Promise.all(clusters.map(startEcho));
    try {
      const listeners = sites.map((site, i) => listener(site, i, routesFile(site, i, folder)));
      const upstreams = clusters.map((name, i) => upstream(name, (echoes[i]!.address() as AddressInfo).port));
      const envoy = await Envoy.start({
        node: { id: 'test', cluster: 'test' },
        static_resources: { listeners, clusters: upstreams },
      });
      const rig = new Rig();
      const ports: { envoy: readonly number[]; ours: readonly number[] } = { envoy: [], ours: [] };
      const world = new World(envoy, rig, echoes, folder, ports);
      try {
        await world.#refusedRoutes();
        ports.envoy = await Promise.all(sites.map((_, i) => envoy.port(`l${i}`)));
        if (sites.every((site) => site.alsoOurs !== false)) ports.ours = await startOurs(rig, sites, echoes);
        return world;
      } catch (e) {
        await world[Symbol.asyncDispose]();
        throw e;
      }
    } catch (e) {
      for (const echo of echoes) echo.close();
      rmSync(folder, { recursive: true, force: true });
      throw e;
    }
  }

  /** Throws when Envoy took one of the route tables for wrong. */
  async #refusedRoutes(): Promise<void> {
    const stats = await this.#envoy.admin('/stats?filter=update_rejected&usedonly');
    if (/rds.*: [1-9]/.test(stats)) {
      const said = this.#envoy.log.split('\n').filter((line) => line.includes('rejected'));
      throw new Error(`Envoy refuses a route table: ${said.join('\n')}`);
    }
  }

  /** `of`: whom. */
  ask(of: 'envoy' | 'ours', site: number, { method, authority, path, headers }: Request): Promise<Observed> {
    const raw = ['host', authority, ...headers.flat()];
    return new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: this.ports[of][site]!, method, path, headers: raw, setHost: false };
      const asked = httpRequest({ ...options, agent: this.#agent }, (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => {
          text += chunk;
        });
        answer.on('error', reject);
        answer.on('end', () => {
          const all = joined(answer.rawHeaders);
          const echoed = all['x-echo'] === undefined ? undefined : (JSON.parse(all['x-echo']) as Echo);
          resolve({
            status: answer.statusCode ?? 0,
            cluster: echoed?.cluster,
            received: echoed?.received,
            headers: without(all, unimportantInResponses),
            body: echoed ? undefined : text,
          });
        });
      });
      // A connection that ends without an answer is an outcome too.
      asked.on('error', (e) =>
        resolve({ status: 0, cluster: undefined, received: undefined, headers: {}, body: e.message }),
      );
      asked.end();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    for (const echo of this.#echoes) {
      echo.closeAllConnections();
      echo.close();
    }
    await this.#rig[Symbol.asyncDispose]();
    await this.#envoy.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

interface Echo {
  readonly cluster: string;
  readonly received: Received;
}

/** Headers that say nothing of routing: of the connection, of time, of Envoy's name. */
const unimportantInResponses = [
  'date',
  'server',
  'connection',
  'transfer-encoding',
  'content-length',
  'x-echo',
  'x-envoy-upstream-service-time',
  'keep-alive',
];
const unimportantInRequests = [
  'host',
  'connection',
  'x-request-id',
  'x-envoy-expected-rq-timeout-ms',
  'content-length',
  'transfer-encoding',
];

async function startEcho(cluster: string): Promise<Server> {
  const server = createServer((asked, answer) => {
    const all = joined(asked.rawHeaders);
    const received = {
      method: asked.method ?? '',
      authority: all['host'] ?? '',
      path: asked.url ?? '',
      headers: without(all, unimportantInRequests),
    };
    asked.resume();
    answer.writeHead(200, { ...upstreamHeaders, 'x-echo': JSON.stringify({ cluster, received } satisfies Echo) });
    answer.end();
  });
  // Who closes an idle connection may cut a request that is on its way.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

/** Names in lower case, repeated ones joined as Envoy joins them. */
function joined(raw: readonly string[]): Readonly<Record<string, string>> {
  const out: Record<string, string> = {};
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    out[name] = Object.hasOwn(out, name) ? `${out[name]},${raw[i + 1]}` : raw[i + 1]!;
  }
  return out;
}

function without(all: Readonly<Record<string, string>>, names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(all).filter(([name]) => !names.includes(name)));
}

const hcm = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const router = 'envoy.extensions.filters.http.router.v3.Router';

/** What the control plane would send: here a file for Envoy. */
function routesFile({ routes }: Site, i: number, folder: string): object {
  const path = join(folder, `routes${i}.pb`);
  const type = typeUrl('envoy.service.discovery.v3.DiscoveryResponse');
  writeFileSync(
    path,
    encodeEnvoy({ '@type': type, version_info: '1', resources: [routeResource(routes, i)] } as Typed),
  );
  return { path_config_source: { path }, resource_api_version: 'V3' };
}

function routeResource(routes: object, i: number): Typed {
  return { '@type': typeUrl('envoy.config.route.v3.RouteConfiguration'), ...routes, name: `routes${i}` } as Typed;
}

function listener({ options, filters = [] }: Site, i: number, source: object): Json {
  const config = {
    '@type': typeUrl(hcm),
    stat_prefix: `l${i}`,
    generate_request_id: false,
    ...options,
    rds: { route_config_name: `routes${i}`, config_source: source },
    http_filters: [...filters, { name: 'router', typed_config: { '@type': typeUrl(router) } }],
  };
  const address = { socket_address: { address: '127.0.0.1', port_value: 0 } };
  return { name: `l${i}`, address, filter_chains: [{ filters: [{ name: 'hcm', typed_config: config }] }] };
}

type Json = Readonly<Record<string, unknown>>;

/** The same sites in our waypoint, in this process: ports by site. */
async function startOurs(rig: Rig, sites: readonly Site[], echoes: readonly Server[]): Promise<readonly number[]> {
  for (const [i, name] of clusters.entries()) rig.cluster(name, [(echoes[i]!.address() as AddressInfo).port]);
  const type = typeUrl('envoy.config.route.v3.RouteConfiguration');
  for (const [i, site] of sites.entries()) {
    const decoded = decodeEnvoy(type, encodeEnvoy(routeResource(site.routes, i)));
    const applied = decoded.kind === 'ok' ? rig.runtime.apply('route', decoded.value) : decoded;
    if (applied.kind === 'rejected') throw new Error(`our waypoint refuses a route table: ${applied.reason}`);
    rig.good('listener', listener(site, i, { ads: {}, resource_api_version: 'V3' }));
  }
  return Promise.all(sites.map((_, i) => rig.port(`l${i}`)));
}

function upstream(name: string, port: number): object {
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  const endpoints = [{ lb_endpoints: [{ endpoint: { address } }] }];
  return { name, type: 'STATIC', connect_timeout: '5s', load_assignment: { cluster_name: name, endpoints } };
}
