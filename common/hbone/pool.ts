/** The client half of an engine: which connection carries which tunnel (ambient-wire 1.6). */

import type { Duplex } from 'node:stream';
import { abortable } from '../core/abortable.ts';
import { millis } from '../core/brand.ts';
import type { CancelSignal } from '../core/cancel.ts';
import type { Timer } from '../core/clock.ts';
import { MeshError } from '../core/errors.ts';
import { formatSocketAddr } from '../core/net.ts';
import { formatSpiffe, sameIdentity } from '../identity/spiffe.ts';
import type { Identity } from '../mesh/types.ts';
import type { AgainOutbound, Heirs } from './again.ts';
import { type ClientConnection, dialConnection, type Establish } from './client-connection.ts';
import { Emptying } from './emptying.ts';
import { connectInner } from './inner.ts';
import type { Ahead } from './relay.ts';
import { defaultMaxStreams } from './session.ts';
import type { ConnectHeaders, DialTarget, HbonePool, HbonePoolOptions, InnerTarget, OutboundTunnel } from './types.ts';

const defaultUnusedRelease = 300_000;
/**
 * ms before each further attempt of a tunnel whose stream or connection the peer took back unprocessed (RFC 9113 6.8). A proxy that is
 * being replaced accepts for half a second after it was told to stop, and answers each connection by GOAWAY: these outlast it.
 */
const retryDelays = [0, 50, 100, 200, 400];
/** Streams of a connection, of all that it may have, from which on the next one is dialled; not of one that has only a few. */
const nearlyFull = 0.75;
/** And from which on the engine opens by itself on the next one: what comes before it knows that still has room here. */
const passedOn = 0.9;
const fewStreams = 8;
/** Answers that a slot keeps for its next connection; the oldest goes. */
const mostRepeats = 64;

interface Pooled {
  readonly slot: Slot;
  readonly connection: ClientConnection;
  /** Streams open or about to be. */
  streams: number;
  unused: Timer | undefined;
}

interface Waiter {
  grant(pooled: Pooled | 'unprocessed'): void;
  fail(error: unknown): void;
}

/** What the engine may open by itself, on whichever connection has room. */
interface Repeat {
  readonly answer: AgainOutbound;
  readonly heirs: Heirs;
  readonly peer: Identity;
}

/** All connections of one key. One dial at a time; whoever finds no free stream waits for it. */
interface Slot {
  readonly key: string;
  readonly target: DialTarget;
  readonly open: Set<Pooled>;
  readonly waiters: Set<Waiter>;
  dialing: AbortController | undefined;
  /** By source and target. */
  readonly repeats: Map<string, Repeat>;
}

/** `establish`: by node:tls and node:http2 where none is given, as it always is for connections inside of a tunnel. */
export function createHbonePool(options: HbonePoolOptions, establish?: Establish): HbonePool {
  const { clock } = options;
  const maxStreams = options.maxStreamsPerConnection ?? defaultMaxStreams;
  const unusedRelease = millis(options.unusedReleaseMs ?? defaultUnusedRelease);
  const slots = new Map<string, Slot>();
  /** Also those that left their slot and only wait for their streams to end. */
  const connections = new Set<ClientConnection>();
  const emptying = new Emptying(clock, () => connections.size === 0);
  let ended = false;

  async function connect(
    target: DialTarget,
    headers: ConnectHeaders,
    signal: CancelSignal,
    ahead?: Ahead,
  ): Promise<OutboundTunnel> {
    for (const delay of [...retryDelays, undefined]) {
      const pooled = await acquire(target, signal);
      const tunnel =
        pooled === 'unprocessed' ? pooled : await pooled.connection.open(headers, signal, () => release(pooled), ahead);
      if (tunnel !== 'unprocessed' && pooled !== 'unprocessed') return repeatable(tunnel, pooled);
      if (delay) await abortable(new Promise<void>((resolve) => void clock.after(millis(delay), resolve)), signal);
    }
    const address = formatSocketAddr(target.address);
    throw new MeshError(
      'H2_FAILED',
      `${address} takes no streams: ${retryDelays.length + 1} attempts went back unprocessed`,
    );
  }

  function repeatable(tunnel: OutboundTunnel, pooled: Pooled): OutboundTunnel {
    const { connection, slot } = pooled;
    if (!connection.keep) return tunnel;
    return Object.assign(tunnel, {
      again(answer: AgainOutbound, heirs: Heirs) {
        const repeat = { answer, heirs, peer: connection.peer };
        const key = `${answer.source}>${formatSocketAddr(answer.target)}`;
        slot.repeats.delete(key);
        if (slot.repeats.size >= mostRepeats) slot.repeats.delete(slot.repeats.keys().next().value!);
        slot.repeats.set(key, repeat);
        keep(pooled, repeat);
      },
    });
  }

  function keep(pooled: Pooled, { answer, heirs, peer }: Repeat): void {
    const { connection } = pooled;
    if (!sameIdentity(connection.peer, peer)) return;
    connection.keep?.(answer, heirs, limitOf(pooled), () => {
      reserve(pooled);
      return () => release(pooled);
    });
  }

  function limitOf({ connection }: Pooled): number {
    return Math.min(maxStreams, connection.maxStreams);
  }

  function hasRoom(pooled: Pooled): boolean {
    return pooled.connection.usable && pooled.streams < limitOf(pooled);
  }

  function connectInside(
    carrier: Duplex,
    target: InnerTarget,
    headers: ConnectHeaders,
    signal: CancelSignal,
  ): Promise<OutboundTunnel> {
    if (ended) {
      carrier.destroy();
      return Promise.reject(poolEnded());
    }
    const onStarted = (connection: ClientConnection) => void connections.add(connection);
    const onClosed = (connection: ClientConnection) => {
      connections.delete(connection);
      emptying.check();
    };
    return connectInner(options, carrier, target, headers, signal, onStarted, onClosed);
  }

  /** A connection with one stream reserved on it; `unprocessed` when the peer took a new connection back at once. */
  function acquire(target: DialTarget, signal: CancelSignal): Promise<Pooled | 'unprocessed'> {
    if (ended) return Promise.reject(poolEnded());
    if (signal.aborted) return Promise.reject(signal.reason);
    const slot = slotOf(target);
    const free = findFree(slot);
    if (free) {
      reserve(free);
      return Promise.resolve(free);
    }
    return new Promise((resolve, reject) => {
      const done = () => {
        slot.waiters.delete(waiter);
        signal.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        grant(pooled) {
          done();
          resolve(pooled);
        },
        fail(error) {
          done();
          reject(error);
        },
      };
      const onAbort = () => {
        waiter.fail(signal.reason);
        if (slot.waiters.size === 0) slot.dialing?.abort(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      slot.waiters.add(waiter);
      serveWaiters(slot);
    });
  }

  function slotOf(target: DialTarget): Slot {
    const key = poolKey(target);
    let slot = slots.get(key);
    if (!slot) {
      slot = { key, target, open: new Set(), waiters: new Set(), dialing: undefined, repeats: new Map() };
      slots.set(key, slot);
    }
    return slot;
  }

  function findFree(slot: Slot): Pooled | undefined {
    for (const pooled of slot.open) {
      if (!pooled.connection.usable) slot.open.delete(pooled);
      else if (hasRoom(pooled)) return pooled;
    }
    return undefined;
  }

  function reserve(pooled: Pooled): void {
    pooled.streams++;
    pooled.unused?.cancel();
    pooled.unused = undefined;
    prepareNext(pooled);
  }

  /** A burst would wait for each next connection, and the engine would ask for each of its connections meanwhile. */
  function prepareNext(pooled: Pooled): void {
    const { slot } = pooled;
    if (slot.repeats.size === 0 || limitOf(pooled) < fewStreams || !isFilled(pooled, nearlyFull)) return;
    let next: Pooled | undefined;
    for (const other of slot.open) if (other.connection.usable && !isFilled(other, nearlyFull)) next ??= other;
    if (!next) dial(slot);
    else if (isFilled(pooled, passedOn)) passOn(slot, next);
  }

  function isFilled(pooled: Pooled, share: number): boolean {
    return pooled.streams >= limitOf(pooled) * share;
  }

  function passOn(slot: Slot, next: Pooled): void {
    for (const repeat of slot.repeats.values()) keep(next, repeat);
  }

  function release(pooled: Pooled): void {
    pooled.streams--;
    serveWaiters(pooled.slot);
    if (pooled.streams === 0) restUnused(pooled);
  }

  function restUnused(pooled: Pooled): void {
    if (pooled.connection.usable) pooled.unused = clock.after(unusedRelease, () => pooled.connection.finish());
  }

  function serveWaiters(slot: Slot): void {
    for (const waiter of slot.waiters) {
      const free = findFree(slot);
      if (!free) break;
      reserve(free);
      waiter.grant(free);
    }
    if (slot.waiters.size > 0) dial(slot);
    else if (slot.open.size === 0 && !slot.dialing) slots.delete(slot.key);
  }

  function dial(slot: Slot): void {
    if (slot.dialing || ended) return;
    const controller = new AbortController();
    slot.dialing = controller;
    const onClosed = (connection: ClientConnection) => {
      connections.delete(connection);
      for (const pooled of slot.open) {
        if (pooled.connection !== connection) continue;
        pooled.unused?.cancel();
        slot.open.delete(pooled);
      }
      serveWaiters(slot);
      emptying.check();
    };
    dialConnection(options, slot.target, controller.signal, onClosed, establish).then(
      (connection) => {
        slot.dialing = undefined;
        if (!ended && !connection.usable) {
          connection.cut();
          for (const waiter of slot.waiters) waiter.grant('unprocessed');
          serveWaiters(slot);
          return;
        }
        // With a limit of no streams at all, dialling again would only repeat it.
        if (ended || connection.maxStreams === 0) {
          connection.cut();
          const error = new MeshError('H2_FAILED', `${formatSocketAddr(slot.target.address)} takes no streams`);
          for (const waiter of slot.waiters) waiter.fail(error);
          serveWaiters(slot);
          return;
        }
        connections.add(connection);
        const pooled: Pooled = { slot, connection, streams: 0, unused: undefined };
        const isNeeded = ![...slot.open].some((other) => other.connection.usable && !isFilled(other, passedOn));
        slot.open.add(pooled);
        serveWaiters(slot);
        if (isNeeded && hasRoom(pooled)) passOn(slot, pooled);
        if (pooled.streams === 0) restUnused(pooled);
      },
      (error: unknown) => {
        slot.dialing = undefined;
        // Who came after the last waiter had given up, and so after the dial was given up, deserves its own.
        if (!controller.signal.aborted) for (const waiter of slot.waiters) waiter.fail(error);
        serveWaiters(slot);
      },
    );
  }

  /** Refuses what waits; what is open stays. */
  function end(): void {
    ended = true;
    for (const slot of slots.values()) {
      for (const waiter of slot.waiters) waiter.fail(poolEnded());
      slot.dialing?.abort(poolEnded());
    }
    slots.clear();
  }

  function close(): void {
    end();
    for (const connection of connections) connection.cut();
  }

  return {
    connect,
    connectInside,
    close,
    get connections() {
      return connections.size;
    },
    drain(deadlineMs) {
      end();
      for (const connection of connections) connection.finish();
      return emptying.wait(deadlineMs, close);
    },
  };
}

/** Certificates are no part of it: rotation does not drop pooled connections; each ends with the certificates it was made by. */
function poolKey(t: DialTarget): string {
  const [first, ...others] = t.expected;
  const expected = others.length === 0 ? first && formatSpiffe(first) : t.expected.map(formatSpiffe).sort().join(',');
  return `${formatSpiffe(t.source)}|${expected}|${formatSocketAddr(t.address)}|${t.sourceIp}`;
}

function poolEnded(): MeshError {
  return new MeshError('CANCELLED', 'the pod leaves the mesh or the proxy stops, so no new HBONE connection is made');
}
