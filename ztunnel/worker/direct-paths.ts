/**
 * Pairs of pods of this node that connect past this proxy, as this worker answers for them: judged when a connection has gone by the proxy,
 * with all that its handshake proved, judged again whenever the mesh changes, and renewed for as long as all of it holds.
 */
import { type Millis, millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import type { Compat } from '../../common/core/compat.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { formatSocketAddr, type SocketAddr } from '../../common/core/net.ts';
import type { RelayCounters } from '../../common/hbone/relay.ts';
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import type { CertificateStore } from '../../common/identity/types.ts';
import { identityOf } from '../../common/mesh/address.ts';
import { inboundService } from '../../common/mesh/inbound.ts';
import type { MeshReader } from '../../common/mesh/store.ts';
import type { Workload } from '../../common/mesh/types.ts';
import { type DirectFlow, pairLifetime, type SameNodeOrder, type SameNodePair } from '../../common/zds/same-node.ts';
import type { Account, ConnectionRecord } from '../proxy/account.ts';
import { type DirectDecision, decideDirect } from '../proxy/decide-direct.ts';
import { policyChange } from '../proxy/permit.ts';
import type { ProxiedPod } from '../proxy/pod.ts';

export type DirectPod = Pick<ProxiedPod, 'uid' | 'workload' | 'ownPorts' | 'hold'>;

export interface DirectPathsOptions {
  readonly store: MeshReader;
  readonly clock: Clock;
  readonly log: Logger;
  readonly network: string;
  readonly compat: Compat;
  /** Certificates may be revoked. */
  readonly revocation: boolean;
  readonly certificates: Pick<CertificateStore, 'entries'>;
  readonly pods: () => readonly DirectPod[];
  /** To the agent, by the supervisor. */
  readonly order: (order: SameNodeOrder) => void;
  readonly openAccount: (record: ConnectionRecord, counters: RelayCounters, elapsedMs: number) => Account;
  /** What equal connections were told before is forgotten: the next one is judged for a pair, too. */
  readonly forget: () => void;
}

interface Flow {
  readonly counters: RelayCounters;
  readonly accounts: readonly Account[];
  readonly release: () => void;
}

interface Pair {
  readonly pair: SameNodePair;
  readonly source: DirectPod;
  readonly flows: Map<string, Flow>;
  /** When a connection of it began last. */
  used: Millis;
}

/** A pair that nobody uses is given up after so many ms; the next connection goes by the proxy and brings it back. */
const idleAfter = 60_000;
const lastNews = millis(1_000);
/** Pairs of one worker; what comes beyond goes by the proxy. */
export const mostPairs = 4_096;

export class DirectPaths {
  readonly #options: DirectPathsOptions;
  readonly #eligible = new Set<string>();
  readonly #pairs = new Map<string, Pair>();
  /** Connections whose pair is gone, until the kernel has told of their end, with why. */
  readonly #cut = new Map<string, { readonly flow: Flow; readonly reason: string }>();
  #renewal: Timer | undefined;
  #onTold: (() => void) | undefined;

  constructor(options: DirectPathsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#pairs.size;
  }

  /** The agent says whether the pod's owner lets it take part. */
  eligible(uid: string, eligible: boolean): void {
    if (eligible) {
      this.#eligible.add(uid);
      this.#options.forget();
    } else {
      this.#eligible.delete(uid);
      this.#endWhere(({ pair }) => pair.source === uid || pair.destination === uid, 'a pod takes no part any more');
    }
  }

  /** Nobody carries out verdicts any more, nor tells of connections: the agent cuts them when it goes, or when it is back. */
  agentGone(): void {
    this.#eligible.clear();
    const reason = 'the node agent that watched over it is gone';
    for (const { flows } of this.#pairs.values()) for (const [key, flow] of flows) this.#cut.set(key, { flow, reason });
    this.#pairs.clear();
    for (const [key, { flow }] of [...this.#cut]) {
      this.#cut.delete(key);
      settle(flow, reason);
    }
  }

  /** A connection of the pod to this target has been made by the proxy: the next ones may do without. */
  established(source: DirectPod, target: SocketAddr): void {
    if (!this.#eligible.has(source.uid)) return;
    const key = keyOf(source.uid, target);
    if (this.#pairs.has(key) || this.#pairs.size >= mostPairs) return;
    const decision = this.#judge(source, target);
    if (decision.kind === 'proxied') {
      this.#options.log.debug('connections go by the proxy', { to: formatSocketAddr(target), reason: decision.reason });
      return;
    }
    const destination = this.#podOf(decision.destination)!;
    if (!this.#eligible.has(destination.uid)) return;
    const pair = { source: source.uid, destination: destination.uid, ...target };
    this.#pairs.set(key, { pair, source, flows: new Map(), used: this.#options.clock.now() });
    this.#options.order({ kind: 'grant', ...pair });
    this.#renewal ??= this.#renewLater();
  }

  /** Returns how many open connections are cut. Call in the turn of the change. */
  meshChanged(): number {
    let cut = 0;
    for (const [key, { pair, source, flows }] of [...this.#pairs]) {
      const decision = this.#judge(source, pair);
      if (decision.kind === 'direct' && this.#podOf(decision.destination)?.uid === pair.destination) continue;
      cut += flows.size;
      this.#end(key, policyChange(decision.kind === 'proxied' ? decision.reason : 'the address is another pod now'));
    }
    return cut;
  }

  podGone(uid: string): void {
    this.#endWhere(({ pair }) => pair.source === uid || pair.destination === uid, 'the pod is gone');
  }

  flow(flow: DirectFlow): void {
    const pairKey = keyOf(flow.source, flow);
    const key = `${flow.clientIp} ${flow.clientPort} ${pairKey}`;
    const pair = this.#pairs.get(pairKey);
    if (flow.event === 'opened') {
      if (pair) this.#opened(key, pair, flow);
      return;
    }
    const cut = this.#cut.get(key);
    const known = cut?.flow ?? pair?.flows.get(key);
    this.#cut.delete(key);
    if (this.#cut.size === 0) this.#onTold?.();
    pair?.flows.delete(key);
    const ended = known ?? (pair && this.#open(pair, flow));
    if (!ended) return;
    Object.assign(ended.counters, { received: flow.sent, sent: flow.received });
    if (flow.event === 'failed') fail(ended, `${flow.ip}:${flow.port} refused the connection, or did not answer`);
    else settle(ended, cut?.reason);
  }

  /** Everything ends. Resolves when the kernel has told of all connections that this cuts, or after a second. */
  async close(): Promise<void> {
    this.#renewal?.cancel();
    this.#endWhere(() => true, 'the proxy ends');
    if (this.#cut.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onTold = resolve;
    const timer = this.#options.clock.after(lastNews, resolve);
    await promise;
    timer.cancel();
  }

  #opened(key: string, pair: Pair, flow: DirectFlow): void {
    pair.used = this.#options.clock.now();
    const opened = this.#open(pair, flow);
    for (const account of opened.accounts) account.opened();
    pair.flows.set(key, opened);
  }

  #open({ pair, source }: Pair, flow: DirectFlow): Flow {
    const { openAccount, store } = this.#options;
    const counters = { received: 0, sent: 0 };
    const server = { ip: flow.ip, port: flow.port };
    const from = source.workload();
    const to = this.#options
      .pods()
      .find(({ uid }) => uid === pair.destination)
      ?.workload();
    const ends = {
      sourceAddress: { ip: flow.clientIp, port: flow.clientPort },
      destinationAddress: server,
      source: from,
      destination: to,
      mtls: false,
      direct: true,
    };
    const service = to && inboundService(store, to, undefined, flow.port);
    const accounts = [
      openAccount({ ...ends, direction: 'outbound', originalDestination: server }, counters, flow.ms),
      openAccount({ ...ends, direction: 'inbound', service }, counters, flow.ms),
    ];
    // What drains waits for it, and cuts it at its deadline.
    const key = keyOf(pair.source, pair);
    const release = source.hold({ resetAndDestroy: () => this.#end(key, 'the proxy ends') });
    return { counters, accounts, release };
  }

  #judge(source: DirectPod, target: SocketAddr): DirectDecision {
    const { store, network, compat, revocation } = this.#options;
    const workload = source.workload();
    if (!workload) return { kind: 'proxied', reason: 'the mesh does not know the pod' };
    const decision = decideDirect(store, {
      source: { workload, ownPorts: source.ownPorts },
      target: { ip: target.ip, port: target.port },
      served: (w) => {
        const pod = this.#podOf(w);
        return pod && { workload: w, ownPorts: pod.ownPorts };
      },
      network,
      compat,
      revocation,
    });
    if (decision.kind === 'proxied') return decision;
    const unproved = [workload, decision.destination].find((w) => !this.#isProved(w));
    if (!unproved) return decision;
    return { kind: 'proxied', reason: `${formatSpiffe(identityOf(unproved))} has no valid certificate` };
  }

  /** As a handshake would ask: a certificate that is valid now. */
  #isProved(workload: Workload): boolean {
    const uri = formatSpiffe(identityOf(workload));
    const at = this.#options.clock.wall();
    return this.#options.certificates.entries().some(({ identity, state }) => {
      return state.kind === 'available' && state.certificate.notAfter > at && formatSpiffe(identity) === uri;
    });
  }

  #podOf(workload: Workload): DirectPod | undefined {
    return this.#options.pods().find((pod) => pod.workload()?.uid === workload.uid);
  }

  #renewLater(): Timer {
    const { clock, order } = this.#options;
    return clock.after(millis(pairLifetime / 3), () => {
      this.#renewal = undefined;
      // A certificate may have expired, of which no change tells.
      this.meshChanged();
      for (const [key, { pair, flows, used }] of [...this.#pairs]) {
        if (flows.size === 0 && clock.now() - used > idleAfter) this.#end(key, 'nobody uses it');
        else order({ kind: 'grant', ...pair });
      }
      if (this.#pairs.size > 0) this.#renewal = this.#renewLater();
    });
  }

  #endWhere(which: (pair: Pair) => boolean, reason: string): void {
    for (const [key, pair] of [...this.#pairs]) if (which(pair)) this.#end(key, policyChange(reason));
  }

  #end(key: string, reason: string): void {
    const ended = this.#pairs.get(key);
    if (!ended) return;
    this.#pairs.delete(key);
    for (const [flowKey, flow] of ended.flows) this.#cut.set(flowKey, { flow, reason });
    this.#options.order({ kind: 'revoke', ...ended.pair });
    this.#options.forget();
  }
}

function settle({ accounts, counters, release }: Flow, withdrawn: string | undefined): void {
  release();
  for (const account of accounts) account.relayed(counters, withdrawn);
}

function fail({ accounts, release }: Flow, reason: string): void {
  release();
  for (const account of accounts) account.failed(new MeshError('CONNECT_FAILED', reason));
}

function keyOf(source: string, { ip, port }: SocketAddr): string {
  return `${source} ${ip} ${port}`;
}
