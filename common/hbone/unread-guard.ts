/**
 * Bounds what one connection can make us hold for readers that are slow. Node gives the connection's window back as soon as
 * bytes arrive, read or not, so that only the windows of the streams bound them: 200 times 4 MiB. Beyond the 16 MiB that
 * the connection's window promises, the window of all streams is made small until enough has been read; streams that are
 * read keep moving, others stop.
 */
import { constants, type Http2Session, type Http2Stream } from 'node:http2';
import { millis } from '../core/brand.ts';
import type { Clock, Timer } from '../core/clock.ts';
import type { Http2Windows } from './session.ts';

const checkInterval = millis(20);
const smallWindow = 64 * 1024;
/** A peer that goes on beyond this many windows of a connection has not honoured the smaller window. */
const cutAt = 4;
/** What Node holds for a piece that waits, besides its bytes: a peer may send them one by one. */
const pieceOverhead = 128;

export interface UnreadGuard {
  /** To be called for each stream of the session once. */
  watch(stream: Http2Stream): void;
}

/** How many pieces wait to be read; Node's types lack it. */
function piecesOf(stream: Http2Stream): number {
  return (stream as Http2Stream & { readonly readableBuffer: readonly unknown[] }).readableBuffer.length;
}

/** `onExcess` is to cut the connection. */
export function createUnreadGuard(
  session: Http2Session,
  streams: Iterable<Http2Stream>,
  windows: Http2Windows,
  clock: Clock,
  onExcess: (code: number) => void,
): UnreadGuard {
  let timer: Timer | undefined;
  let small = false;

  function check(): void {
    timer = undefined;
    if (session.destroyed) return;
    let unread = 0;
    let mayGrow = false;
    for (const stream of streams) {
      unread += stream.readableLength + pieceOverhead * piecesOf(stream);
      // Not yet read from, or paused.
      if (stream.readableFlowing !== true) mayGrow = true;
    }
    if (unread > cutAt * windows.connection) {
      onExcess(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      return;
    }
    const wanted = unread > (small ? windows.connection / 4 : windows.connection);
    if (wanted !== small) {
      small = wanted;
      session.settings({ initialWindowSize: small ? Math.min(smallWindow, windows.stream) : windows.stream });
    }
    if (mayGrow || small) schedule();
  }

  function schedule(): void {
    timer ??= clock.after(checkInterval, check);
  }

  session.once('close', () => timer?.cancel());
  return {
    watch(stream) {
      stream.on('pause', schedule);
      schedule();
    },
  };
}
