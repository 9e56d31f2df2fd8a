/** envoy.extensions.filters.network.tcp_proxy.v3: bytes to a cluster, also in a tunnel. */

import { randomUUID } from 'node:crypto';
import { type Millis, millis } from '../../common/core/brand.ts';
import type { Timer } from '../../common/core/clock.ts';
import type { Fields } from '../../common/envoy/fields.ts';
import { leavingPatience } from '../../common/hbone/answer.ts';
import { readMetadata } from '../cluster/compile/metadata.ts';
import { xxHash64 } from '../cluster/hash/xxhash64.ts';
import type { Lease, PoolFailure, PoolKey, Ticket } from '../cluster/pool-types.ts';
import type { Host, HostAddress, Metadata, Struct } from '../cluster/types.ts';
import type { Upstream } from '../cluster/upstream-types.ts';
import type { ExportEnvironment } from '../export/environment.ts';
import type { StreamTimes } from '../format/durations.ts';
import { compileFormat, type Format, type FormatContext, type StreamFacts, type TriedHost } from '../format/format.ts';
import { applyHeaderOps, type HeaderOps, readAddition } from '../format/header-ops.ts';
import type { ClientExchange, ResponseReader } from '../http/message.ts';
import type { ConnectionFacts } from '../listener/facts.ts';
import type { ByteReader, ByteStream } from '../net/byte-stream.ts';
import { Headers } from '../request/headers.ts';
import type { Environment } from '../runtime/environment.ts';
import { type AccessLog, readAccessLogs, tellLogs } from '../telemetry/access-log.ts';
import { clusterStats } from '../telemetry/http-stats.ts';
import type { StatsConfig } from '../telemetry/istio/config.ts';
import { IstioMeter } from '../telemetry/istio/meter.ts';
import type { Counter, Stats } from '../telemetry/stats.ts';
import type { UpstreamAbout } from '../upstream/about.ts';
import type { ConnectionKey, UpstreamConnection } from '../upstream/connector.ts';
import { sharedState } from '../upstream/internal.ts';
import { bareRequest, type ConnectionEnd, type Downstream, type Served, type Terminal } from './downstream.ts';

export interface TcpProxyConfig {
  readonly statPrefix: string;
  readonly clusters: readonly { readonly name: string; readonly weight: number; readonly match: Struct | undefined }[];
  readonly maxConnectAttempts: number;
  /** undefined: none. Default 1 h. */
  readonly idle: Millis | undefined;
  readonly maxDuration: Millis | undefined;
  /** The text whose hash chooses the host; undefined: chance, or the policy's own way. */
  readonly hash: ((facts: ConnectionFacts) => string | undefined) | undefined;
  readonly tunneling: Tunneling | undefined;
  readonly accessLogs: readonly AccessLog[];
}

interface Tunneling {
  readonly hostname: Format;
  readonly post: boolean;
  readonly postPath: string;
  readonly headers: HeaderOps;
}

export function readTcpProxy(fields: Fields, exports: ExportEnvironment): TcpProxyConfig {
  const weighted = fields.message('weighted_clusters');
  const match = metadataMatch(fields);
  const clusters = weighted
    ? weighted.list('clusters').map((entry) => ({
        name: entry.text('name'),
        weight: entry.number('weight', 1),
        match: { ...match, ...metadataMatch(entry) },
      }))
    : [{ name: fields.text('cluster'), weight: 1, match }];
  if (clusters.length === 0 || clusters.some(({ name }) => name === '')) fields.mistake('cluster', 'is empty');
  const idle = fields.duration('idle_timeout');
  const hashes = fields.readAll('hash_policy', readHash);
  if (hashes.length > 1) fields.mistake('hash_policy', 'has more than one entry');
  return {
    statPrefix: fields.text('stat_prefix'),
    clusters,
    maxConnectAttempts: fields.wrapped('max_connect_attempts', 1) ?? 1,
    idle: idle === undefined ? millis(3_600_000) : idle || undefined,
    maxDuration: fields.duration('max_downstream_connection_duration') || undefined,
    hash: hashes[0],
    tunneling: readTunneling(fields.message('tunneling_config')),
    accessLogs: readAccessLogs(fields, 'access_log', exports),
  };
}

/** An envoy.type.v3.HashPolicy. */
function readHash(fields: Fields): NonNullable<TcpProxyConfig['hash']> {
  const which = fields.which('source_ip', 'filter_state');
  switch (which) {
    case 'source_ip':
      fields.read(which, () => undefined);
      return ({ remote }) => remote.address;
    case 'filter_state': {
      const key = fields.required(which, (f) => f.text('key'));
      return ({ filterState }) => filterState.get(key);
    }
    case undefined:
      throw fields.refusal('policy_specifier', 'is missing');
  }
}

function metadataMatch(fields: Fields): Struct | undefined {
  return readMetadata(fields, 'metadata_match')['envoy.lb'];
}

function readTunneling(fields: Fields | undefined): Tunneling | undefined {
  if (!fields) return undefined;
  const text = fields.text('hostname');
  let hostname: Format;
  try {
    hostname = compileFormat(text);
  } catch (e) {
    fields.mistake('hostname', (e as Error).message);
    hostname = compileFormat('');
  }
  if (text === '') fields.mistake('hostname', 'is empty');
  return {
    hostname,
    post: fields.flag('use_post'),
    postPath: fields.text('post_path') || '/',
    headers: { add: fields.list('headers_to_add').map(readAddition), remove: [] },
  };
}

/** How often a CONNECT that peers did not look at is sent again. */
const mostRefusals = 3;

interface TcpStats {
  readonly total: Counter;
  readonly noRoute: Counter;
  readonly received: Counter;
  readonly sent: Counter;
}

export class TcpProxy implements Terminal {
  readonly #env: Environment;
  readonly #config: TcpProxyConfig;
  readonly #stats: TcpStats;
  readonly #meters: readonly IstioMeter[];

  constructor(env: Environment, config: TcpProxyConfig, meters: readonly StatsConfig[] = []) {
    this.#env = env;
    this.#config = config;
    this.#stats = statsOf(env.stats, config.statPrefix);
    this.#meters = meters.map((meter) => new IstioMeter(env.series, meter));
  }

  serve(downstream: Downstream, done: (end: ConnectionEnd) => void): Served {
    this.#stats.total.value++;
    return new Proxied(this.#env, this.#config, this.#stats, this.#meters, downstream, done);
  }
}

function statsOf(stats: Stats, prefix: string): TcpStats {
  return {
    total: stats.counter(`tcp.${prefix}.downstream_cx_total`),
    noRoute: stats.counter(`tcp.${prefix}.downstream_cx_no_route`),
    received: stats.counter(`tcp.${prefix}.downstream_cx_rx_bytes_total`),
    sent: stats.counter(`tcp.${prefix}.downstream_cx_tx_bytes_total`),
  };
}

/** The upstream's end: a connection, or a tunnel through one. */
interface Far {
  write(chunk: Buffer): boolean;
  end(): void;
  pause(): void;
  resume(): void;
  cut(): void;
}

class Proxied implements Served, ByteReader {
  readonly #env: Environment;
  readonly #config: TcpProxyConfig;
  readonly #stats: TcpStats;
  readonly #meters: readonly IstioMeter[];
  #report: Timer | undefined;
  /** What the metrics were told of so far. */
  #reported: { readonly received: number; readonly sent: number } | undefined;
  readonly #downstream: Downstream;
  readonly #done: (end: ConnectionEnd) => void;
  readonly #streamId = randomUUID();
  readonly #tried: TriedHost[] = [];
  #about: UpstreamAbout | undefined;
  #upstreamLocal: HostAddress | undefined;
  #asked = 0;
  #poolReady = 0;
  readonly #near: ByteStream;
  #far: Far | undefined;
  #ticket: Ticket | undefined;
  #lease: Lease<UpstreamConnection> | undefined;
  #attempts = 0;
  #over = false;
  #nearEnded = false;
  #farEnded = false;
  #received = 0;
  #sent = 0;
  #active: number;
  /** Ends a CONNECT that has no answer yet, and sends another one. */
  #takeBack: (() => void) | undefined;
  #refusals = 0;
  #patience: Timer | undefined;
  #idle: Timer | undefined;
  #life: Timer | undefined;
  readonly #flags = new Set<string>();
  #cluster = '';
  #host: HostAddress | undefined;
  #hostMetadata: Metadata | undefined;
  readonly #startTime: number;

  constructor(
    env: Environment,
    config: TcpProxyConfig,
    stats: TcpStats,
    meters: readonly IstioMeter[],
    downstream: Downstream,
    done: (end: ConnectionEnd) => void,
  ) {
    this.#env = env;
    this.#config = config;
    this.#stats = stats;
    this.#meters = meters;
    this.#downstream = downstream;
    this.#done = done;
    this.#near = downstream.stream;
    this.#active = env.clock.now();
    this.#startTime = env.clock.wall();
    this.#near.attach(this);
    // Nothing is read before there is somewhere to write it to.
    this.#near.pause();
    if (config.idle !== undefined) this.#watchIdle(config.idle);
    if (config.maxDuration !== undefined) this.#life = env.clock.after(config.maxDuration, () => this.#finish());
    this.#connect();
  }

  drain(): void {}

  cut(error: Error): void {
    this.#finish(error);
  }

  #connect(): void {
    const choice = this.#choose();
    this.#cluster = choice.name;
    const upstream = this.#env.clusters.get(choice.name);
    if (!upstream) {
      this.#stats.noRoute.value++;
      this.#flags.add('NC');
      this.#finish(new Error(`there is no cluster ${choice.name}`));
      return;
    }
    const { facts } = this.#downstream;
    const text = this.#config.hash?.(facts);
    const picked = upstream.pick({
      dice: this.#env.dice,
      ...(text !== undefined && text !== '' && { hash: xxHash64(Buffer.from(text)) }),
      metadataMatch: choice.match,
      original: {
        restored: facts.restored ? { ip: facts.local.address, port: facts.local.port } : undefined,
        filterState: (key) => facts.filterState.get(key),
        header: () => undefined,
        metadata: (namespace) => facts.metadata.get(namespace) as Struct | undefined,
      },
    });
    if (picked.kind === 'none') {
      this.#flags.add('UH');
      this.#finish(new Error(picked.reason));
      return;
    }
    this.#attempts++;
    this.#host = picked.host.address;
    this.#hostMetadata = picked.host.metadata;
    this.#tried.push({ address: picked.host.address, hostname: picked.host.hostname });
    this.#asked = this.#env.clock.now();
    const key = this.#key(upstream, picked.host);
    this.#ticket = upstream.acquire(
      picked.host,
      { priority: 'default', downstream: this.#config.tunneling ? 'http2' : 'tcp', ...(key && { key }) },
      {
        ready: (lease) => this.#ready(lease),
        failed: (failure) => this.#failed(failure),
        leaving: () => this.#onLeaving(),
      },
    );
  }

  #choose(): TcpProxyConfig['clusters'][number] {
    const { clusters } = this.#config;
    if (clusters.length === 1) return clusters[0]!;
    const total = clusters.reduce((sum, { weight }) => sum + weight, 0);
    let left = this.#env.dice.random() * total;
    for (const cluster of clusters) {
      left -= cluster.weight;
      if (left < 0) return cluster;
    }
    return clusters[clusters.length - 1]!;
  }

  #key(upstream: Upstream<UpstreamConnection>, host: Host): PoolKey | undefined {
    const { facts, id } = this.#downstream;
    const transport = upstream.transportOf(host);
    const shares = facts.shared.size > 0 && transport.kind === 'internal';
    const proxied =
      transport.kind === 'proxy-protocol' ||
      (transport.kind === 'internal' && transport.inner.kind === 'proxy-protocol');
    if (!shares && !proxied) return undefined;
    const value: ConnectionKey = {
      filterState: shares ? sharedState(facts) : new Map(),
      sni: undefined,
      downstream: proxied ? { remote: facts.remote, local: facts.local } : undefined,
    };
    return { text: `connection ${id}`, value };
  }

  #ready(lease: Lease<UpstreamConnection>): void {
    this.#ticket = undefined;
    if (this.#over) {
      lease.release(lease.protocol !== 'tcp');
      return;
    }
    this.#lease = lease;
    this.#about = lease.codec.about;
    this.#upstreamLocal = lease.codec.local;
    this.#poolReady = this.#env.clock.now() - this.#asked;
    const { statName } = this.#clusterNames();
    clusterStats(this.#env.stats, statName).total.value++;
    this.#watchMetrics();
    if (lease.codec.kind === 'tcp') this.#joinStream(lease.codec.stream);
    else this.#openTunnel();
  }

  #failed(failure: PoolFailure): void {
    this.#ticket = undefined;
    if (this.#over) return;
    if (failure.kind === 'connect' && this.#attempts < this.#config.maxConnectAttempts) {
      this.#connect();
      return;
    }
    this.#flags.add(failure.kind === 'overflow' ? 'UO' : 'UF');
    this.#finish(new Error('no connection to the upstream'));
  }

  #joinStream(stream: ByteStream): void {
    this.#far = {
      write: (chunk) => stream.write(chunk),
      end: () => stream.end(),
      pause: () => stream.pause(),
      resume: () => stream.resume(),
      cut: () => stream.destroy(new Error('the proxied connection was cut')),
    };
    stream.attach({
      bytes: (chunk) => this.#fromFar(chunk),
      ended: () => this.#onFarEnd(),
      closed: (error) => {
        this.#release(false);
        if (error) this.#finish(error);
        else this.#onFarEnd();
      },
      drained: () => this.#near.resume(),
    });
    this.#near.resume();
  }

  #openTunnel(): void {
    const { tunneling } = this.#config;
    const lease = this.#lease!;
    if (lease.codec.kind !== 'http' || !tunneling) throw new Error('a connection of another kind than was asked for');
    const context = this.#context();
    const headers = new Headers();
    applyHeaderOps(tunneling.headers, headers, context);
    const authority = tunneling.hostname.render(context, '');
    let exchange: ClientExchange;
    this.#takeBack = () => {
      exchange.reset('cancel');
      this.#askAgain();
    };
    const reader: ResponseReader = {
      informational: () => undefined,
      response: (head, end) => {
        this.#takeBack = undefined;
        if (head.status < 200 || head.status > 299 || end) {
          this.#flags.add('UF');
          this.#release(true);
          this.#far = undefined;
          if (!end) exchange.reset('cancel');
          this.#finish(new Error(`the tunnel was refused: ${head.status}`));
          return;
        }
        this.#near.resume();
      },
      data: (chunk) => this.#fromFar(chunk),
      end: () => this.#onFarEnd(),
      broke: ({ kind }) => {
        const open = this.#takeBack === undefined;
        if (!open && kind === 'refused' && this.#refusals < mostRefusals) {
          this.#refusals++;
          this.#askAgain();
          return;
        }
        this.#release(true);
        this.#far = undefined;
        this.#flags.add(open ? 'UC' : 'UF');
        this.#finish(new Error('the tunnel broke'));
      },
      drained: () => this.#near.resume(),
    };
    const head = {
      method: tunneling.post ? 'POST' : 'CONNECT',
      path: tunneling.post ? tunneling.postPath : undefined,
      authority,
      scheme: undefined,
      headers: headers.toRaw(),
      upgrade: undefined,
      version: 'HTTP/2' as const,
    };
    exchange = lease.codec.codec.request(head, false, reader);
    this.#far = {
      write: (chunk) => exchange.write(chunk),
      end: () => exchange.end(),
      pause: () => exchange.pause(),
      resume: () => exchange.resume(),
      cut: () => exchange.reset('cancel'),
    };
  }

  /** The peer has not acted on the CONNECT (RFC 9113 8.7), or leaves without an answer. */
  #askAgain(): void {
    this.#takeBack = undefined;
    this.#patience?.cancel();
    this.#release(true);
    this.#far = undefined;
    this.#attempts--;
    this.#connect();
  }

  /** Node proxies that are replaced say so by GOAWAY: what asks through this connection goes to the next one before it is cut. */
  #onLeaving(): void {
    this.#near.leave?.();
    if (this.#takeBack) this.#patience = this.#env.clock.after(leavingPatience, () => this.#takeBack?.());
  }

  #fromFar(chunk: Buffer): void {
    this.#sent += chunk.length;
    this.#active = this.#env.clock.now();
    if (!this.#near.write(chunk)) this.#far?.pause();
  }

  #onFarEnd(): void {
    if (this.#farEnded) return;
    this.#farEnded = true;
    this.#near.end();
    if (this.#nearEnded) this.#finish();
  }

  bytes(chunk: Buffer): void {
    this.#received += chunk.length;
    this.#active = this.#env.clock.now();
    if (this.#far && !this.#far.write(chunk)) this.#near.pause();
  }

  ended(): void {
    this.#nearEnded = true;
    this.#far?.end();
    if (this.#farEnded) this.#finish();
  }

  closed(error: Error | undefined): void {
    this.#finish(error);
  }

  drained(): void {
    this.#far?.resume();
  }

  #watchIdle(limit: Millis): void {
    const look = () => {
      const left = this.#active + limit - this.#env.clock.now();
      if (left > 0) this.#idle = this.#env.clock.after(millis(left), look);
      else this.#finish();
    };
    this.#idle = this.#env.clock.after(limit, look);
  }

  /** Both ends are known now: the connection counts as opened, and is told of now and then while it lasts. */
  #watchMetrics(): void {
    const [first] = this.#meters;
    if (!first) return;
    const report = () => {
      this.#tellMetrics(this.#context(), false);
      this.#report = this.#env.clock.after(first.config.interval, report);
    };
    report();
  }

  #tellMetrics(context: FormatContext, closed: boolean): void {
    const before = this.#reported ?? { received: 0, sent: 0 };
    const amounts = {
      ...(this.#reported === undefined && { opened: 1 }),
      tcpReceived: this.#received - before.received,
      tcpSent: this.#sent - before.sent,
      ...(closed && { closed: 1 }),
    };
    this.#reported = { received: this.#received, sent: this.#sent };
    try {
      for (const meter of this.#meters) meter.tcp(context, amounts);
    } catch {
      // The connection must end though what configurations add to metrics cannot be made.
      this.#env.stats.counter(`tcp.${this.#config.statPrefix}.telemetry_failed`).value++;
    }
  }

  #release(reusable: boolean): void {
    this.#lease?.release(reusable);
    this.#lease = undefined;
  }

  /** Exactly once. Without an error what both sides were sent may still leave. */
  #finish(error?: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#idle?.cancel();
    this.#life?.cancel();
    this.#patience?.cancel();
    this.#ticket?.cancel();
    this.#report?.cancel();
    const proper = this.#nearEnded && this.#farEnded;
    const protocol = this.#lease?.protocol;
    if (!proper) {
      if (error) this.#near.destroy(error);
      else this.#near.end();
      this.#far?.cut();
    }
    // A connection of bytes is given back when it has closed.
    if (protocol !== 'tcp' || !proper) this.#release(protocol === 'http2');
    this.#stats.received.value += this.#received;
    this.#stats.sent.value += this.#sent;
    const context = this.#context();
    if (this.#meters.length > 0) this.#tellMetrics(context, true);
    tellLogs(this.#config.accessLogs, context);
    this.#done(context.facts);
  }

  #clusterNames(): NonNullable<StreamFacts['cluster']> {
    const name = this.#cluster;
    return { name, statName: this.#env.clusters.get(name)?.cluster.statName ?? name };
  }

  #context(): FormatContext {
    const { id } = this.#downstream;
    const clusterMetadata = this.#env.clusters.get(this.#cluster)?.cluster.metadata;
    const request = bareRequest(this.#downstream);
    const facts: StreamFacts = {
      startTime: this.#startTime,
      connectionId: id,
      ...(this.#cluster !== '' && { cluster: this.#clusterNames() }),
      ...(this.#host && { upstreamHost: this.#host }),
      ...(this.#upstreamLocal && { upstreamLocal: this.#upstreamLocal }),
      ...(this.#hostMetadata && { hostMetadata: this.#hostMetadata }),
      ...(clusterMetadata && { clusterMetadata }),
      ...(this.#flags.size > 0 && { responseFlags: [...this.#flags].join(',') }),
      duration: Math.round(this.#env.clock.now() - this.#downstream.started),
      bytesReceived: this.#received,
      bytesSent: this.#sent,
      attempts: this.#attempts,
      variable: this.#env.variable,
      logType: 'TcpConnectionEnd',
      chain: this.#downstream.chain,
      requestId: this.#streamId,
      upstreamWireReceived: this.#sent,
      upstreamWireSent: this.#received,
      ...(this.#tried.length > 0 && { tried: this.#tried }),
      ...(this.#tried.at(-1)?.hostname && { upstreamHostname: this.#tried.at(-1)!.hostname }),
      ...(this.#about && {
        upstreamConnections: [this.#about.id],
        times: { poolReady: this.#poolReady } as StreamTimes,
        ...(this.#about.tls && { upstreamTls: this.#about.tls.details }),
      }),
    };
    return { request, facts };
  }
}
