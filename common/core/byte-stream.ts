import type { Duplex } from 'node:stream';

/** A connection's bytes, whoever moves them: a socket of node:net, or what an engine of its own hands out. */
export interface ByteStream extends Duplex {
  /** Closes so that the peer cannot take what it got for complete: TCP RST, or RST_STREAM. */
  resetAndDestroy(): unknown;
}

export function isByteStream(stream: Duplex): stream is ByteStream {
  return 'resetAndDestroy' in stream;
}
