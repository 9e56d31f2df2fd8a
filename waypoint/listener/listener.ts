/** A listener at work: accepts, looks, chooses a chain, ends TLS, hands the connection to the chain's filters. */
import { createServer, type Server, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { parseIp, parseSocketAddr } from '../../common/core/net.ts';
import type { ByteStream } from '../net/byte-stream.ts';
import { DuplexStream } from '../net/duplex-stream.ts';
import { peek } from '../net/peek.ts';
import { type ConnectionEnd, downstreamOf, type Served } from '../network/downstream.ts';
import type { Environment } from '../runtime/environment.ts';
import type { Counter } from '../telemetry/stats.ts';
import { TlsServer } from '../tls/server.ts';
import type { InternalListener, InternalListeners } from '../upstream/internal.ts';
import { ConnectionAccount } from './account.ts';
import { chooseChain } from './chain-match.ts';
import type { ChainConfig, ListenerConfig, ListenerFilterConfig } from './config.ts';
import { type ConnectionFacts, newFacts, type TlsFacts } from './facts.ts';
import { inspectHttp } from './http-inspector.ts';
import { inspectProxyHeader } from './proxy-protocol.ts';
import { inspectHello } from './tls-inspector.ts';

/** A chain with what it keeps while it serves. */
interface Chain extends ChainConfig {
  readonly server: TlsServer | undefined;
}

/** What serves a listener's connections; replaced as a whole when its configuration changes, while its sockets stay. */
export class ListenerServer implements InternalListener {
  readonly config: ListenerConfig;
  readonly #env: Environment;
  readonly #chains: readonly Chain[];
  readonly #defaultChain: Chain | undefined;
  readonly #served = new Set<Served>();
  readonly #pending = new Set<ByteStream>();
  readonly #stats: Readonly<Record<'total' | 'active' | 'noChain' | 'filterTimeout' | 'tlsErrors', Counter>>;
  #draining = false;
  #onEmpty: (() => void) | undefined;

  constructor(config: ListenerConfig, env: Environment) {
    this.config = config;
    this.#env = env;
    const withTls = (chain: ChainConfig): Chain => ({
      ...chain,
      server: chain.tls && new TlsServer(chain.tls, env),
    });
    this.#chains = config.chains.map(withTls);
    this.#defaultChain = config.defaultChain && withTls(config.defaultChain);
    const prefix = `listener.${config.statPrefix}.`;
    this.#stats = {
      total: env.stats.counter(`${prefix}downstream_cx_total`),
      active: env.stats.gauge(`${prefix}downstream_cx_active`),
      noChain: env.stats.counter(`${prefix}no_filter_chain_match`),
      filterTimeout: env.stats.counter(`${prefix}downstream_pre_cx_timeout`),
      tlsErrors: env.stats.counter(`${prefix}ssl.connection_error`),
    };
  }

  get connections(): number {
    return this.#served.size + this.#pending.size;
  }

  accept(stream: ByteStream, facts: ConnectionFacts): void {
    this.#stats.total.value++;
    this.#pending.add(stream);
    const account = new ConnectionAccount(this.#env, this.config.accessLogs, facts);
    this.#serve(stream, facts, account).catch((error: unknown) => {
      this.#env.log.debug('a connection was refused', { listener: this.config.name, error: describeError(error) });
      stream.destroy(error as Error);
      this.#gone(stream, account);
    });
  }

  async #serve(stream: ByteStream, facts: ConnectionFacts, account: ConnectionAccount): Promise<void> {
    for (const filter of this.config.filters) {
      if (!filter.disabled(facts) && !(await this.#filter(filter, stream, facts))) return this.#drop(stream, account);
    }
    const chain = this.#choose(facts);
    if (!chain) {
      this.#stats.noChain.value++;
      return this.#drop(stream, account, { responseFlags: 'NR', responseCodeDetails: 'filter_chain_not_found' });
    }
    let inner = stream;
    let tls: TlsFacts | undefined;
    if (chain.server) {
      try {
        const shaken = await chain.server.accept(stream, chain.handshakeTimeout);
        tls = shaken.facts;
        inner = new DuplexStream(shaken.socket);
      } catch (error) {
        this.#stats.tlsErrors.value++;
        this.#env.log.debug('TLS with a client failed', { listener: this.config.name, error: describeError(error) });
        return this.#gone(stream, account);
      }
    }
    if (inner.destroyed) return this.#gone(stream, account);
    const where = { listener: this.config.name, chain: chain.name };
    const downstream = downstreamOf(inner, facts, tls, where, account.started);
    account.secured(downstream);
    for (const filter of chain.filters) {
      const verdict = filter.onConnection(downstream);
      if (verdict.kind === 'continue') continue;
      this.#env.log.debug('a connection was refused', { ...where, detail: verdict.detail });
      // Who opened it sees it stand first, as at Envoy, which asks when bytes come; nothing is reached for here.
      await nextTurn();
      inner.destroy();
      return this.#gone(stream, account, { connectionTerminationDetails: verdict.detail });
    }
    this.#pending.delete(stream);
    this.#stats.active.value++;
    let over = false;
    const served = chain.terminal.serve(downstream, (told) => {
      over = true;
      account.tell(told);
      this.#stats.active.value--;
      this.#served.delete(served);
      this.#emptied();
    });
    if (over) return;
    this.#served.add(served);
    if (this.#draining) served.drain();
  }

  /** False: the connection is to be dropped. */
  async #filter({ kind }: ListenerFilterConfig, stream: ByteStream, facts: ConnectionFacts): Promise<boolean> {
    const { clock } = this.#env;
    const { filterTimeout, continueOnTimeout } = this.config;
    switch (kind) {
      case 'original-dst':
        restoreOriginal(facts);
        return true;
      case 'tls-inspector': {
        const seen = await peek(stream, inspectHello, { kind: 'plain' }, clock, filterTimeout);
        if (seen.kind === 'found' && seen.found.kind === 'tls') {
          facts.transport = 'tls';
          facts.sni = seen.found.sni;
          facts.applicationProtocols = seen.found.alpn;
        }
        return this.#goesOn(seen.kind, continueOnTimeout);
      }
      case 'http-inspector': {
        if (facts.transport === 'tls') return true;
        const seen = await peek(stream, inspectHttp, 'other', clock, filterTimeout);
        if (seen.kind === 'found' && seen.found !== 'other') facts.applicationProtocols = [seen.found];
        return this.#goesOn(seen.kind, continueOnTimeout);
      }
      case 'proxy-protocol': {
        const seen = await peek(stream, inspectProxyHeader, { kind: 'malformed' }, clock, filterTimeout);
        if (seen.kind !== 'found' || seen.found.kind === 'malformed' || seen.found.kind === 'none') return false;
        if (seen.found.kind === 'proxied') {
          facts.remote = seen.found.source;
          facts.local = seen.found.destination;
          facts.restored = true;
        }
        return true;
      }
    }
  }

  #goesOn(seen: 'found' | 'timeout' | 'closed', continues: boolean): boolean {
    if (seen === 'timeout') this.#stats.filterTimeout.value++;
    return seen === 'found' || (seen === 'timeout' && continues);
  }

  #choose(facts: ConnectionFacts): Chain | undefined {
    const { matcher } = this.config;
    if (!matcher) return chooseChain(this.#chains, facts) ?? this.#defaultChain;
    const name = matcher(facts);
    return this.#chains.find((chain) => chain.name === name) ?? this.#defaultChain;
  }

  #drop(stream: ByteStream, account: ConnectionAccount, told?: ConnectionEnd): void {
    stream.destroy();
    this.#gone(stream, account, told);
  }

  #gone(stream: ByteStream, account: ConnectionAccount, told?: ConnectionEnd): void {
    account.tell(told);
    this.#pending.delete(stream);
    this.#emptied();
  }

  #emptied(): void {
    if (this.#draining && this.connections === 0) this.#onEmpty?.();
  }

  /** Open requests go on; resolves when the last connection has gone. */
  drain(): Promise<void> {
    this.#draining = true;
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      for (const served of this.#served) served.drain();
      if (this.connections === 0) resolve();
    });
  }

  /** Who is connected is to come again elsewhere; new connections are still served, for callers that have not heard yet. */
  dismiss(): void {
    for (const served of this.#served) served.drain();
  }

  cut(): void {
    const error = new MeshError('CANCELLED', 'the listener was closed');
    for (const served of this.#served) served.cut(error);
    for (const stream of this.#pending) stream.destroy(error);
  }
}

const originalDst = 'envoy.filters.listener.original_dst';

/** Of internal connections: what the host's metadata, or the filter state of the connection before, says (ambient-wire 10). */
function restoreOriginal(facts: ConnectionFacts): void {
  const told = facts.metadata.get(originalDst);
  const local = facts.filterState.get(`${originalDst}.local_ip`) ?? told?.['local'];
  const remote = facts.filterState.get(`${originalDst}.remote_ip`) ?? told?.['remote'];
  const address = typeof local === 'string' ? parseSocketAddr(local) : undefined;
  if (address) {
    facts.local = { address: address.ip, port: address.port };
    facts.restored = true;
  }
  const from = typeof remote === 'string' ? parseSocketAddr(remote) : undefined;
  if (from) facts.remote = { address: from.ip, port: from.port };
}

/** The sockets of a listener, or its name among the internal ones; `serving` may be replaced at any time. */
export class BoundListener {
  #servers: Server[] = [];
  #internal: InternalListeners | undefined;
  #serving: ListenerServer;
  readonly #forward: InternalListener = { accept: (stream, facts) => this.#serving.accept(stream, facts) };

  private constructor(serving: ListenerServer) {
    this.#serving = serving;
  }

  /** Rejects with MeshError CONFIG when an address cannot be bound. */
  static async open(serving: ListenerServer, internal: InternalListeners): Promise<BoundListener> {
    const bound = new BoundListener(serving);
    const { bind, name, backlog } = serving.config;
    if (bind.kind === 'internal') {
      internal.set(name, bound.#forward);
      bound.#internal = internal;
      return bound;
    }
    try {
      for (const address of bind.addresses) {
        bound.#servers.push(await bound.#listen(address, backlog, bind.bufferLimit));
      }
    } catch (e) {
      bound.close();
      throw new MeshError('CONFIG', `listener ${name}: ${describeError(e)}`, { cause: e });
    }
    return bound;
  }

  get serving(): ListenerServer {
    return this.#serving;
  }

  /** Where it listens; port 0 is told as the one that the kernel chose. */
  get addresses(): readonly { readonly address: string; readonly port: number }[] {
    return this.#servers.flatMap((server) => {
      const address = server.address();
      return typeof address === 'object' && address ? [{ address: address.address, port: address.port }] : [];
    });
  }

  /** New connections go to `next`. Returns who served until now. */
  replace(next: ListenerServer): ListenerServer {
    const before = this.#serving;
    this.#serving = next;
    return before;
  }

  /** Accepts nothing more. */
  close(): void {
    for (const server of this.#servers) server.close();
    this.#internal?.delete(this.#serving.config.name, this.#forward);
  }

  #listen(
    { ip, port }: { readonly ip: string; readonly port: number },
    backlog: number,
    bufferLimit: number | undefined,
  ): Promise<Server> {
    const options = { allowHalfOpen: true, noDelay: true, ...(bufferLimit && { highWaterMark: bufferLimit }) };
    const server = createServer(options, (socket) => this.#accept(socket));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: ip, port, backlog, ipv6Only: false }, () => {
        server.off('error', reject);
        server.on('error', () => undefined);
        resolve(server);
      });
    });
  }

  #accept(socket: Socket): void {
    const remote = { address: parseIp(socket.remoteAddress ?? '') ?? '', port: socket.remotePort ?? 0 };
    const local = { address: parseIp(socket.localAddress ?? '') ?? '', port: socket.localPort ?? 0 };
    this.#serving.accept(new DuplexStream(socket), newFacts(remote, local));
  }
}
