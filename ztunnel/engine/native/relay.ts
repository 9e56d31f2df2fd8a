/** Relays of the native engine: two of its ends are joined in C++, anything else is copied here. */
import type { Duplex } from 'node:stream';
import { MeshError } from '../../../common/core/errors.ts';
import {
  type Ahead,
  isOrdinaryEnd,
  type Relay,
  type RelayCounters,
  type RelayOptions,
  type RelayResult,
  relay as relayInScript,
} from '../../../common/hbone/relay.ts';
import type { EngineLoop } from '../../../native/engine.ts';
import { NativeStream } from './stream.ts';

/** Counts where the loop counts while a relay is open, and keeps the last figures. */
export class NativeCounters implements RelayCounters {
  #loop: EngineLoop | undefined;
  #index = 0;
  #received = 0;
  #sent = 0;

  get received(): number {
    return this.#loop ? this.#loop.count(this.#index, 0) : this.#received;
  }
  set received(bytes: number) {
    this.#received = bytes;
  }
  get sent(): number {
    return this.#loop ? this.#loop.count(this.#index, 1) : this.#sent;
  }
  set sent(bytes: number) {
    this.#sent = bytes;
  }

  follow(loop: EngineLoop): number {
    this.#loop = loop;
    this.#index = loop.takeCounters();
    return this.#index;
  }

  settle(): void {
    const loop = this.#loop;
    if (!loop) return;
    this.#received = this.received;
    this.#sent = this.sent;
    this.#loop = undefined;
    loop.giveCounters(this.#index);
  }
}

export const nativeRelay: Relay = (downstream, upstream, options) => {
  if (!(downstream instanceof NativeStream && upstream instanceof NativeStream)) {
    return relayInScript(downstream, upstream, options);
  }
  if (downstream.isRelayedAheadTo(upstream)) return join(downstream, upstream, options);
  const waits = [downstream.settled(), upstream.settled()].filter((wait) => wait !== undefined);
  if (waits.length === 0) return join(downstream, upstream, options);
  return Promise.all(waits).then(() => join(downstream, upstream, options));
};

function join(
  downstream: NativeStream,
  upstream: NativeStream,
  { signal, counters = { received: 0, sent: 0 } }: RelayOptions,
): Promise<RelayResult> {
  return new Promise((resolve) => {
    const settle = (error?: Error, moved?: true) =>
      resolve({ received: counters.received, sent: counters.sent, ...(error && { error }), ...(moved && { moved }) });
    const reason = () =>
      signal.reason instanceof Error ? signal.reason : new MeshError('CANCELLED', 'the connection was cut');
    const ahead = downstream.isRelayedAheadTo(upstream);
    if (signal.aborted && !ahead) {
      downstream.resetAndDestroy();
      upstream.resetAndDestroy();
      return settle(reason());
    }
    if (!ahead && (downstream.destroyed || upstream.destroyed)) {
      for (const end of [downstream, upstream]) if (!end.destroyed) end.once('finish', () => end.destroy()).end();
      return settle();
    }
    const live = counters instanceof NativeCounters ? counters : new NativeCounters();
    const onAbort = () => downstream.cut(reason());
    signal.addEventListener('abort', onAbort, { once: true });
    downstream.join(upstream, live, (error, moved) => {
      signal.removeEventListener('abort', onAbort);
      live.settle();
      if (live !== counters) {
        counters.received = live.received;
        counters.sent = live.sent;
      }
      settle(moved || (error && isOrdinaryEnd(error)) ? undefined : error, moved);
    });
    if (signal.aborted) onAbort();
  });
}

export function hasBegun(downstream: Duplex, upstream: Duplex): boolean {
  return (
    downstream instanceof NativeStream && upstream instanceof NativeStream && downstream.isRelayedAheadTo(upstream)
  );
}

/** Lets the loop begin by itself, where both ends are its own and nobody has used them. */
export function relayAhead(upstream: NativeStream, { downstream, counters, answer }: Ahead): void {
  if (!(downstream instanceof NativeStream && downstream.untouched && counters instanceof NativeCounters)) return;
  upstream.relayWhenReady(downstream, counters, answer && Object.entries(answer).flat());
}
