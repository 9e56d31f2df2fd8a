/** What a server makes of a CONNECT, for either engine. */
import type { Duplex } from 'node:stream';
import type { CancelSignal } from '../core/cancel.ts';
import { MeshError } from '../core/errors.ts';
import { formatSocketAddr } from '../core/net.ts';
import type { ConnectRequest, HboneServerOptions, InboundTunnel } from './types.ts';

/** One for all streams: an error of its own for each would be a large part of what a short connection costs. */
export const streamGone = new MeshError('CANCELLED', 'the client or its connection went away');
export const streamCut = new MeshError('CANCELLED', 'the tunnel was still open when this end was closed');

/** The stream of a request. */
export interface RequestStream {
  readonly bytes: Duplex;
  /** A header's value, several instances joined by commas, which is how baggage lists its members anyway. */
  field(name: string): string | undefined;
  /** HEADERS; nothing on a stream that is gone or has been answered. */
  respond(status: number, headers: Readonly<Record<string, string>>, end: boolean): void;
  readonly again?: InboundTunnel['again'];
  /** Aborts when it is gone. */
  readonly signal: CancelSignal;
}

/** Offers the tunnel to the owner, or answers 400. */
export function offerTunnel(
  { onTunnel, onError }: Pick<HboneServerOptions, 'onTunnel' | 'onError'>,
  { peer, remote, local }: Pick<InboundTunnel, 'peer' | 'remote' | 'local'>,
  stream: RequestStream,
): void {
  const request = connectRequest(stream);
  const refuse = (status: number) => stream.respond(status, {}, true);
  if (!request) {
    const what = `${formatSocketAddr(remote)} sent a request that is not CONNECT with an :authority`;
    onError(new MeshError('PROTOCOL', what), remote);
    refuse(400);
    return;
  }
  onTunnel({
    request,
    peer,
    remote,
    local,
    accept(responseHeaders) {
      // The peer may have left while the caller was connecting; then it gets a stream that is already closed.
      stream.respond(200, responseHeaders, false);
      return stream.bytes;
    },
    stream: stream.bytes,
    again: stream.again,
    refuse,
    signal: stream.signal,
  });
}

function connectRequest(stream: RequestStream): ConnectRequest | undefined {
  const authority = stream.field(':authority');
  if (stream.field(':method') !== 'CONNECT' || authority === undefined) return undefined;
  return {
    authority,
    baggage: stream.field('baggage'),
    forwarded: stream.field('forwarded'),
    traceparent: stream.field('traceparent'),
    forwardedNetwork: stream.field('x-forwarded-network'),
  };
}
