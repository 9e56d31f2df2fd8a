/** Reads a Listener, naming what is not honoured. */
import { millis } from '../../common/core/brand.ts';
import { parseIp } from '../../common/core/net.ts';
import { checkFields, type Fields } from '../../common/envoy/fields.ts';
import { statsConfig } from '../../common/envoy/istio.ts';
import type { Compiled } from '../cluster/compiled.ts';
import { type ExportEnvironment, exportEnvironment } from '../export/environment.ts';
import type { FilterEnvironment } from '../filters/filter.ts';
import { HttpManager } from '../http/manager/manager.ts';
import { readHttpManager } from '../http/manager/read.ts';
import { callerOf } from '../http/router/call.ts';
import type { NetworkFilter, Terminal } from '../network/downstream.ts';
import { readNetworkFilter } from '../network/filters.ts';
import { readTcpProxy, TcpProxy } from '../network/tcp-proxy.ts';
import type { Environment } from '../runtime/environment.ts';
import { readAccessLogs } from '../telemetry/access-log.ts';
import { readStatsConfig, type StatsConfig } from '../telemetry/istio/config.ts';
import { secretsOf } from '../tls/material.ts';
import { readTlsServer, type TlsServerConfig } from '../tls/server.ts';
import type { TracingConfig } from '../tracing/config.ts';
import { readChainMatch } from './chain-match.ts';
import type { ChainConfig, ListenerBind, ListenerConfig, ListenerFilterConfig } from './config.ts';
import { readMatcher, readPredicate } from './matcher.ts';

interface Needs {
  readonly routes: Set<string>;
  readonly secrets: Set<string>;
  readonly clusters: Set<string>;
}

/** `resource` as `decodeEnvoy` decodes it. */
export function compileListener(resource: object, env: Environment): Compiled<ListenerConfig> {
  const checked = checkFields(resource, 'Listener', (fields) => new Reader(env).read(fields));
  if (checked.kind === 'rejected') return checked;
  return checked.value ? { kind: 'ok', value: checked.value } : { kind: 'rejected', reason: 'Listener: incomplete' };
}

const filterTypes = 'envoy.extensions.filters.';

/** A chain without filters has nobody to serve: as Envoy's, it ends what comes. */
const closing: Terminal = {
  serve({ stream }, done) {
    stream.destroy();
    queueMicrotask(done);
    return { drain: () => undefined, cut: () => undefined };
  },
};

class Reader {
  readonly #env: Environment;
  readonly #exports: ExportEnvironment;
  #operation: TracingConfig['operation'] = 'ingress';
  readonly #needs: Needs = { routes: new Set(), secrets: new Set(), clusters: new Set() };

  constructor(env: Environment) {
    this.#env = env;
    this.#exports = exportEnvironment(env);
  }

  read(fields: Fields): ListenerConfig | undefined {
    // How threads share connections; statistics and debugging; what istiod tells for itself.
    fields.harmless(
      'connection_balance_config',
      'metadata',
      'max_connections_to_accept_per_socket_event',
      'ignore_global_conn_limit',
      'bypass_overload_manager',
      'drain_type',
      'enable_reuse_port',
    );
    const name = fields.text('name');
    if (name === '') fields.mistake('name', 'is empty');
    this.#operation =
      fields.choice('traffic_direction', 'UNSPECIFIED', {
        UNSPECIFIED: 'ingress',
        INBOUND: 'ingress',
        OUTBOUND: 'egress',
      } as const) ?? 'ingress';
    const bind = this.#readBind(fields);
    const timeout = fields.duration('listener_filters_timeout');
    const matcher = fields.message('filter_chain_matcher');
    const chains = fields.list('filter_chains').flatMap((chain) => this.#readChain(chain) ?? []);
    const fallback = fields.message('default_filter_chain');
    const defaultChain = fallback && this.#readChain(fallback);
    const filters = fields.list('listener_filters').flatMap((filter) => readListenerFilter(filter) ?? []);
    if (fields.wrappedFlag('use_original_dst')) filters.unshift({ kind: 'original-dst', disabled: () => false });
    if (chains.length === 0 && !defaultChain) fields.mistake('filter_chains', 'is empty');
    return {
      name,
      bind,
      filters,
      filterTimeout: timeout === undefined ? millis(15_000) : timeout || undefined,
      continueOnTimeout: fields.flag('continue_on_listener_filters_timeout'),
      chains,
      defaultChain,
      matcher: matcher && readMatcher(matcher),
      needs: {
        routes: [...this.#needs.routes],
        secrets: [...this.#needs.secrets],
        clusters: [...this.#needs.clusters],
      },
      statPrefix: fields.text('stat_prefix') || name,
      accessLogs: readAccessLogs(fields, 'access_log', this.#exports),
      backlog: fields.wrapped('tcp_backlog_size') ?? 4_096,
    };
  }

  #readBind(fields: Fields): ListenerBind {
    if (fields.message('internal_listener')) {
      // What is between two ends in this process has a bound of its own.
      fields.harmless('per_connection_buffer_limit_bytes');
      return { kind: 'internal' };
    }
    if (fields.wrappedFlag('bind_to_port') === false)
      fields.mistake('bind_to_port', 'listeners without a socket are internal_listener');
    const first = fields.message('address');
    const more = fields.list('additional_addresses').flatMap((one) => one.message('address') ?? []);
    const addresses = [...(first ? [first] : []), ...more].flatMap((address) => {
      const socket = address.message('socket_address');
      // Wildcards of IPv6 take IPv4 too where asked to.
      socket?.harmless('ipv4_compat');
      socket?.choice('protocol', 'TCP', { TCP: true });
      const ip = parseIp(socket?.text('address') ?? '');
      if (!socket || ip === undefined) {
        address.mistake('socket_address', 'is no address and port');
        return [];
      }
      return [{ ip, port: socket.number('port_value', 0, 65_535) }];
    });
    if (addresses.length === 0) fields.mistake('address', 'is missing');
    return {
      kind: 'sockets',
      addresses,
      bufferLimit: fields.wrapped('per_connection_buffer_limit_bytes') || undefined,
    };
  }

  #readChain(chain: Fields): ChainConfig | undefined {
    chain.harmless('metadata');
    const tls = this.#readTransport(chain);
    const filters: NetworkFilter[] = [];
    const meters: StatsConfig[] = [];
    let terminal: Terminal | undefined;
    const list = chain.list('filters');
    list.forEach((filter, i) => {
      const config = filter.message('typed_config');
      const name = filter.text('name');
      const type = config?.type.slice(config.type.indexOf('/') + 1) ?? '';
      const last = i === list.length - 1;
      if (config && type === `${filterTypes}network.http_connection_manager.v3.HttpConnectionManager`) {
        const manager = readHttpManager(config, filterEnvironmentOf(this.#env), this.#exports, this.#operation);
        if (manager?.routes.kind === 'rds') this.#needs.routes.add(manager.routes.name);
        if (manager) terminal = new HttpManager(this.#env, manager);
      } else if (config && type === `${filterTypes}network.tcp_proxy.v3.TcpProxy`) {
        const proxy = readTcpProxy(config, this.#exports);
        for (const { name: cluster } of proxy.clusters) this.#needs.clusters.add(cluster);
        terminal = new TcpProxy(this.#env, proxy, meters);
      } else if (config && type === statsConfig) {
        meters.push(readStatsConfig(config));
        return;
      } else {
        const made = config && readNetworkFilter(config);
        if (made) filters.push(made);
        else filter.mistake('typed_config', `network filter ${name} of type ${type || 'none'} is not supported`);
        return;
      }
      if (!last) filter.mistake('typed_config', `${name} must be the last filter`);
    });
    const match = readChainMatch(chain.message('filter_chain_match'));
    const handshakeTimeout = chain.duration('transport_socket_connect_timeout') || millis(10_000);
    if (list.length === 0) terminal = closing;
    if (!terminal) return undefined;
    return { name: chain.text('name'), match, tls, handshakeTimeout, filters, terminal };
  }

  #readTransport(chain: Fields): TlsServerConfig | undefined {
    const socket = chain.message('transport_socket');
    if (!socket) return undefined;
    const config = socket.message('typed_config');
    const name = socket.text('name');
    if (config?.type.endsWith('/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer')) return undefined;
    if (config?.type.endsWith('/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext')) {
      const tls = readTlsServer(config);
      for (const secret of secretsOf(tls.common)) this.#needs.secrets.add(secret);
      return tls;
    }
    socket.mistake('typed_config', `transport socket ${name} of type ${config?.type ?? 'none'} is not supported`);
    return undefined;
  }
}

function filterEnvironmentOf(env: Environment): FilterEnvironment {
  return {
    caller: callerOf(env),
    clock: env.clock,
    log: env.log,
    counter: (name) => env.stats.counter(name),
    scripts: env.scripts,
  };
}

const listenerFilters: Readonly<Record<string, ListenerFilterConfig['kind']>> = {
  'original_dst.v3.OriginalDst': 'original-dst',
  'tls_inspector.v3.TlsInspector': 'tls-inspector',
  'http_inspector.v3.HttpInspector': 'http-inspector',
  'proxy_protocol.v3.ProxyProtocol': 'proxy-protocol',
};

function readListenerFilter(filter: Fields): ListenerFilterConfig | undefined {
  const config = filter.message('typed_config');
  const name = filter.text('name');
  const prefix = `${filterTypes}listener.`;
  const type = config?.type.slice(config.type.indexOf('/') + 1) ?? '';
  const kind = type.startsWith(prefix) ? listenerFilters[type.slice(prefix.length)] : undefined;
  const predicate = filter.message('filter_disabled');
  const disabled = predicate ? readPredicate(predicate) : () => false;
  if (!config || !kind) {
    filter.mistake('typed_config', `listener filter ${name} of type ${type || 'none'} is not supported`);
    return undefined;
  }
  config.harmless('initial_read_buffer_size');
  return { kind, disabled };
}
