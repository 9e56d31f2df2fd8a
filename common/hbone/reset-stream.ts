/** How a stream is broken off. */
import { constants, type Http2Stream } from 'node:http2';

/**
 * RST_STREAM, of a tunnel with CONNECT_ERROR (RFC 9113 8.5). Node's destroy(error) always says INTERNAL_ERROR, and its close(code) sends
 * END_STREAM first, which a peer passes on as a proper end; not so once the stream counts as destroyed.
 */
export function resetStream(
  stream: Http2Stream,
  error: Error | undefined,
  code: number = constants.NGHTTP2_CONNECT_ERROR,
): void {
  const destroy = stream._destroy;
  stream._destroy = (cause, callback) => {
    stream.close(code);
    destroy.call(stream, cause, callback);
  };
  stream.destroy(error);
}
