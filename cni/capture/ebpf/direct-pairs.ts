/**
 * The same-node fast path in the kernel: pairs of pods that may connect past the proxy, and the connections that do. A verdict lapses
 * by itself, so what nobody renews ends with nobody's help; what is taken back is taken from open connections too.
 */
import type { Fd, Millis, NetnsCookie } from '../../../common/core/brand.ts';
import { formatSocketAddr } from '../../../common/core/net.ts';
import { type BpfEvents, type BpfMap, type BpfObject, destroyTcpSocket } from '../../../native/index.ts';
import type { CapturedPod, DirectPair, DirectWatcher, FlowEnds, SameNode } from '../types.ts';
import {
  type DirectFlowEntry,
  decodeDirectEvent,
  decodeDirectFlow,
  decodeFlow,
  directCounterNames,
  encodeU32,
  encodeVerdict,
  encodeVerdictKey,
  sumCounter,
} from './abi.ts';

/** Of this agent's; what others left is in the maps only. */
interface Standing {
  readonly pair: DirectPair;
  readonly id: bigint;
  /** ns of the monotonic clock. */
  until: bigint;
}

export class DirectPairs implements SameNode {
  readonly #verdicts: BpfMap;
  readonly #flows: BpfMap;
  readonly #events: BpfMap;
  readonly #counters: BpfMap;
  /** Whether a pod with this namespace is captured. */
  readonly #captured: (cookie: NetnsCookie) => boolean;
  readonly #standing = new Map<string, Standing>();
  #watcher: DirectWatcher | undefined;
  #reading: BpfEvents | undefined;
  #lastId = 0n;

  /** No verdict of an agent before this one stands any more. */
  constructor(object: BpfObject, captured: (cookie: NetnsCookie) => boolean) {
    this.#verdicts = object.map('verdicts');
    this.#flows = object.map('direct_flows');
    this.#events = object.map('direct_events');
    this.#counters = object.map('direct_counters');
    this.#captured = captured;
    for (const key of this.#verdicts.keys()) this.#verdicts.delete(key);
  }

  watch(watcher: DirectWatcher): void {
    this.#watcher = watcher;
    this.#reading ??= this.#events.events((record) => this.#watcher?.onEvent(decodeDirectEvent(record)));
    this.#cutStrangers();
  }

  grant(pair: DirectPair, lifetime: Millis): void {
    const key = keyOf(pair);
    const until = now() + BigInt(Math.round(lifetime)) * 1_000_000n;
    const known = this.#standing.get(key);
    const same = known?.pair.destination === pair.destination;
    if (known && !same) this.revoke(pair);
    const standing = known && same ? known : { pair, id: this.#nextId(), until };
    standing.until = until;
    this.#verdicts.update(
      encodeVerdictKey(pair.source, pair.target),
      encodeVerdict(standing.id, until, pair.destination),
    );
    this.#standing.set(key, standing);
  }

  revoke(pair: DirectPair): void {
    const standing = this.#standing.get(keyOf(pair));
    if (standing) this.#end([standing]);
  }

  revokeAll(): void {
    this.#end([...this.#standing.values()]);
  }

  /** The pod is not captured from here on, as client or as server. */
  podLeaves({ cookie, ips, netns }: Pick<CapturedPod, 'cookie' | 'netns' | 'ips'>): void {
    const own = [...this.#standing.values()].filter(
      ({ pair }) => pair.source === cookie || pair.destination === cookie,
    );
    for (const { pair } of own) this.#forget(pair);
    this.#cut((entry, { server }) => entry.netns === cookie || ips.includes(server.ip), { cookie, netns });
  }

  /** Ends what lapsed, and forgets what a namespace that is gone left. */
  sweep(): void {
    const at = now();
    const lapsed = [...this.#standing.values()].filter(({ until }) => until <= at);
    for (const { pair } of lapsed) this.#forget(pair);
    this.#cutStrangers();
  }

  counters(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      directCounterNames.map((name, i) => [name, sumCounter(this.#counters.lookup(encodeU32(i))!)]),
    );
  }

  close(): void {
    this.#reading?.close();
    for (const map of [this.#verdicts, this.#flows, this.#events, this.#counters]) map.close();
  }

  /** Connections whose verdict does not stand. */
  #cutStrangers(): void {
    const ids = new Set([...this.#standing.values()].map(({ id }) => id));
    this.#cut(({ verdict }) => !ids.has(verdict));
  }

  #end(standing: readonly Standing[]): void {
    for (const { pair } of standing) this.#forget(pair);
    const ids = new Set(standing.map(({ id }) => id));
    this.#cut(({ verdict }) => ids.has(verdict));
  }

  /** Always before connections are looked for: see direct_begins in bpf/hooks/sockops-direct.h. */
  #forget(pair: DirectPair): void {
    this.#standing.delete(keyOf(pair));
    this.#verdicts.delete(encodeVerdictKey(pair.source, pair.target));
  }

  #cut(
    which: (entry: DirectFlowEntry, ends: FlowEnds) => boolean,
    known?: { readonly cookie: NetnsCookie; readonly netns: Fd },
  ): void {
    const found = new Map<NetnsCookie, Fd | undefined>(known && [[known.cookie, known.netns]]);
    const netnsOf = (cookie: NetnsCookie) => {
      if (!found.has(cookie)) found.set(cookie, this.#watcher?.netnsOf(cookie));
      return found.get(cookie);
    };
    for (const key of this.#flows.keys()) {
      const value = this.#flows.lookup(key);
      if (!value) continue;
      const entry = decodeDirectFlow(value);
      const ends = decodeFlow(key);
      if (!which(entry, ends)) continue;
      const netns = netnsOf(entry.netns);
      if (netns !== undefined) {
        destroyTcpSocket(netns, { local: ends.client, remote: ends.server, cookie: entry.cookie });
        // Its close has removed it, unless no program was there to see it.
        this.#flows.delete(key);
      } else if (!this.#captured(entry.netns)) {
        this.#flows.delete(key);
      }
    }
    this.#reading?.read();
  }

  /** Later than any that this boot of the machine has seen, by whichever agent. */
  #nextId(): bigint {
    const at = now();
    this.#lastId = at > this.#lastId ? at : this.#lastId + 1n;
    return this.#lastId;
  }
}

/** CLOCK_MONOTONIC, which bpf_ktime_get_ns reads too. */
function now(): bigint {
  return process.hrtime.bigint();
}

function keyOf({ source, target }: DirectPair): string {
  return `${source} ${formatSocketAddr(target)}`;
}
