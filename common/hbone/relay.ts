/**
 * Copies bytes between two byte streams, each direction on its own (ambient-wire 1.7). This is the hot path: listeners are
 * made once for a connection, and nothing is allocated for a chunk.
 */

import type { Http2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { type ByteStream, isByteStream } from '../core/byte-stream.ts';
import type { CancelSignal } from '../core/cancel.ts';
import { MeshError } from '../core/errors.ts';
import { resetStream } from './reset-stream.ts';

/** Updated while the relay runs, so that a metric can be sampled from an open connection. */
export interface RelayCounters {
  /** Bytes taken from downstream and given to upstream. */
  received: number;
  /** Bytes taken from upstream and given to downstream. */
  sent: number;
}

export interface RelayResult extends Readonly<RelayCounters> {
  /** What broke the connection; absent when both directions ended, also by a peer that just went away. */
  readonly error?: Error;
  /** It has not ended: it goes on in another process. */
  readonly moved?: true;
}

export interface RelayOptions {
  /** Resets both sides. */
  readonly signal: CancelSignal;
  readonly counters?: RelayCounters;
}

/**
 * With what a connection that is being made is to be relayed: an engine may begin as soon as it stands, before anybody hears of that. A call of
 * `Relay` with the same two takes it over; who does not want it any more destroys both.
 */
export interface Ahead {
  readonly downstream: Duplex;
  readonly counters: RelayCounters;
  /** Headers of the 200 that a CONNECT gets then; absent where the downstream waits for no answer. */
  readonly answer?: Readonly<Record<string, string>>;
  /** Nothing begins after its end. */
  readonly permit: CancelSignal;
}

export type Relay = (downstream: Duplex, upstream: Duplex, options: RelayOptions) => Promise<RelayResult>;

/** Peers that go away are no error of ours to report; the other side is reset all the same. */
const ordinaryEnds = new Set(['ECONNRESET', 'EPIPE', 'ENOTCONN', 'ECONNABORTED']);

export function isOrdinaryEnd(error: NodeJS.ErrnoException): boolean {
  return ordinaryEnds.has(error.code ?? '');
}

/**
 * Copies both directions until both ended; resolves once, never rejects. Both streams are closed then, or about to be. An end of one side
 * is passed on as an end, a failure as a reset. Sockets must have been made with allowHalfOpen.
 */
export const relay: Relay = (downstream, upstream, options) => {
  const counters = options.counters ?? { received: 0, sent: 0 };
  return new Promise((resolve) => {
    let open = 2;
    let settled = false;
    const settle = (error?: Error) => {
      if (settled) return;
      settled = true;
      options.signal.removeEventListener('abort', onAbort);
      resolve({ received: counters.received, sent: counters.sent, ...(error && { error }) });
    };
    const onDone = () => {
      open--;
      if (open === 0) settle();
    };
    const onFailure = (error: NodeJS.ErrnoException) => {
      reset(downstream, error);
      reset(upstream, error);
      settle(isOrdinaryEnd(error) ? undefined : error);
    };
    const onAbort = () => {
      const { reason } = options.signal;
      onFailure(reason instanceof Error ? reason : new MeshError('CANCELLED', 'the connection was cut'));
    };
    downstream.on('error', onFailure);
    upstream.on('error', onFailure);
    const onCut = () => onFailure(new MeshError('CANCELLED', 'the connection was cut'));
    copy(downstream, upstream, (n) => (counters.received += n), onDone, onCut);
    copy(upstream, downstream, (n) => (counters.sent += n), onDone, onCut);
    if (options.signal.aborted) onAbort();
    else options.signal.addEventListener('abort', onAbort, { once: true });
  });
};

function copy(
  source: Duplex,
  sink: Duplex,
  count: (bytes: number) => void,
  onDone: () => void,
  onCut: () => void,
): void {
  let done = false;
  // Of a connection, which tells of its peer by an end or an error: somebody in this process may destroy it.
  let cuttable = isByteStream(source) && !source.destroyed;
  let corked = false;
  const finish = () => {
    if (done) return;
    done = true;
    source.off('data', onData);
    sink.off('drain', onDrain);
    onDone();
  };
  // Chunks of one turn of the event loop leave in one system call. HTTP/2 gathers by itself, and corking costs it 10 %.
  const gathers = isByteStream(sink);
  const uncork = () => {
    corked = false;
    sink.uncork();
  };
  const onData = (chunk: Buffer) => {
    count(chunk.length);
    if (gathers && !corked) {
      corked = true;
      sink.cork();
      setImmediate(uncork);
    }
    if (!sink.write(chunk)) source.pause();
  };
  const onDrain = () => source.resume();
  const onEnd = () => {
    if (!sink.writableEnded) sink.end();
  };
  source.on('data', onData);
  source.on('end', onEnd);
  // An HTTP/2 stream that its peer reset with NO_ERROR or CANCEL closes without an end: the same to us.
  source.on('close', () => {
    if (cuttable && !source.readableEnded) return onCut();
    onEnd();
    if (sink.writableFinished || sink.destroyed) finish();
  });
  sink.on('drain', onDrain);
  sink.on('finish', finish);
  const abandon = () => {
    cuttable = false;
    // Nobody takes these bytes any more, but what was written to the source shall still leave.
    if (!source.readableEnded && !source.destroyed) {
      source.pause();
      if (source.writableFinished) source.destroy();
      else source.once('finish', () => source.destroy());
    }
    finish();
  };
  sink.on('close', abandon);
  if (source.readableEnded || source.destroyed) onEnd();
  else source.resume();
  if (sink.destroyed) abandon();
}

/** TCP RST or RST_STREAM, so that a peer cannot take a cut transfer for a complete one. */
function reset(stream: Duplex, error: Error): void {
  if (stream.destroyed) return;
  if (isByteStream(stream)) resetSocket(stream);
  else if (isHttp2(stream)) resetStream(stream, error);
  else stream.destroy(error);
}

/**
 * libuv refuses a reset (EINVAL) while a shutdown is under way, and Node then loses the descriptor. A shutdown begins when
 * all has been written and takes one turn of the event loop, so that waiting for it cannot last.
 */
function resetSocket(socket: ByteStream): void {
  const shuttingDown = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (shuttingDown) socket.once('finish', () => socket.resetAndDestroy());
  else socket.resetAndDestroy();
}

function isHttp2(stream: Duplex): stream is Http2Stream {
  return 'rstCode' in stream;
}
