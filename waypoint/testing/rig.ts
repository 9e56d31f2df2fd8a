/** A runtime in this process, configured by resources in proto3's JSON, and upstream servers for it. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { decodeEnvoy, encodeEnvoy, typeUrl } from '../../common/envoy/codec.ts';
import type { Checked } from '../../common/envoy/fields.ts';
import { messageFromJson } from '../../common/envoy/json.ts';
import { until } from '../../common/testing/until.ts';
import { systemResolver } from '../cluster/dns/resolver.ts';
import { ownAddress } from '../runtime/own-address.ts';
import { type ResourceKind, Runtime, type RuntimeOptions } from '../runtime/runtime.ts';

type Json = Readonly<Record<string, unknown>>;

const types: Readonly<Record<ResourceKind, string>> = {
  cluster: 'envoy.config.cluster.v3.Cluster',
  assignment: 'envoy.config.endpoint.v3.ClusterLoadAssignment',
  route: 'envoy.config.route.v3.RouteConfiguration',
  listener: 'envoy.config.listener.v3.Listener',
  secret: 'envoy.extensions.transport_sockets.tls.v3.Secret',
};

export const managerType = typeUrl('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager');
export const router = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': typeUrl('envoy.extensions.filters.http.router.v3.Router') },
};

export class Rig implements AsyncDisposable {
  readonly runtime: Runtime;
  readonly lines: string[] = [];
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(local?: RuntimeOptions['local']) {
    this.runtime = new Runtime({
      clock: systemClock,
      dice: Math,
      log: silentLogger,
      resolver: systemResolver(),
      ownAddress: ownAddress(),
      write: (_path, line) => this.lines.push(line),
      variable: (name) => process.env[name],
      drain: 2_000,
      local,
    });
  }

  apply(kind: ResourceKind, json: Json): Checked<string> {
    const url = typeUrl(types[kind]);
    const decoded = decodeEnvoy(url, encodeEnvoy(messageFromJson(url, json)));
    return decoded.kind === 'ok' ? this.runtime.apply(kind, decoded.value) : decoded;
  }

  /** Throws with the reason of a refusal. */
  good(kind: ResourceKind, json: Json): void {
    const applied = this.apply(kind, json);
    if (applied.kind === 'rejected') throw new Error(applied.reason);
  }

  /** The port of a server of this process. */
  async upstream(
    serve: (request: IncomingMessage, response: ServerResponse) => void,
    upgrade?: (request: IncomingMessage, socket: Duplex) => void,
  ): Promise<number> {
    const server = createServer(serve);
    if (upgrade) server.on('upgrade', upgrade);
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  }

  cluster(name: string, ports: readonly number[], more: Json = {}): void {
    this.good('cluster', staticCluster(name, ports, more));
  }

  /** The port of a listener on loopback with this HttpConnectionManager; it routes by `routes` unless it has routes itself. */
  async http(name: string, routes: readonly Json[], manager: Json = {}, listener: Json = {}): Promise<number> {
    this.good('listener', httpListener(name, routes, manager, listener));
    return this.port(name);
  }

  async port(name: string): Promise<number> {
    return until(`listener ${name}`, () => this.runtime.listeners().find((l) => l.name === name)?.addresses[0]?.port);
  }

  /** What comes for these bytes until the connection ends, or what came is `enough`. */
  async raw(port: number, bytes: string, enough?: RegExp): Promise<string> {
    const socket = connect({ port, host: '127.0.0.1' });
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (enough?.test(text)) socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.write(bytes, 'latin1');
    await new Promise((resolve) => socket.once('close', resolve));
    return text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) server.close();
    await this.runtime.close(0);
  }
}

export function staticCluster(name: string, ports: readonly number[], more: Json = {}): Json {
  const lbEndpoints = ports.map((port) => ({
    endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
  }));
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: lbEndpoints }] },
    ...more,
  };
}

export function httpFilter(routes: readonly Json[], manager: Json = {}): Json {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': managerType,
      stat_prefix: 'test',
      ...(!('rds' in manager) && {
        route_config: { name: 'inline', virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
      }),
      http_filters: [router],
      ...manager,
    },
  };
}

export function httpListener(name: string, routes: readonly Json[], manager: Json = {}, listener: Json = {}): Json {
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [{ name: 'only', filters: [httpFilter(routes, manager)] }],
    ...listener,
  };
}
