/** Transport sockets of clusters. */
import { extension, type Message } from '../values.ts';

export const rawBuffer = extension(
  'envoy.transport_sockets.raw_buffer',
  'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer',
);

/** What of an endpoint's metadata goes along to the internal listener that it is. */
export const endpointKeys = ['envoy.filters.listener.original_dst', 'istio'] as const;

/** To an internal listener, with filter state that is shared; to any other address just `inner`. */
export function internalUpstream(inner: Message, keys: readonly string[] = endpointKeys): Message {
  return extension(
    'envoy.transport_sockets.internal_upstream',
    'envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport',
    {
      ...(keys.length > 0 && { passthrough_metadata: keys.map((name) => ({ kind: { host: {} }, name })) }),
      transport_socket: inner,
    },
  );
}
