/** Transport sockets of clusters by the type of their configuration. */
import type { Fields } from '../../../common/envoy/fields.ts';
import { readTlsClient } from '../tls/compile.ts';
import type { PassthroughMetadata, Transport } from '../transport.ts';

const raw: Transport = { kind: 'raw' };

/** The transport socket in field `name`; absent: plain. */
export function readTransport(owner: Fields, name: string): Transport {
  const socket = owner.message(name);
  return socket ? readSocket(socket) : raw;
}

function readSocket(socket: Fields): Transport {
  const config = socket.message('typed_config');
  const name = socket.text('name');
  switch (config?.type.slice(config.type.indexOf('/') + 1)) {
    case 'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer':
      return raw;
    case 'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext':
      return { kind: 'tls', tls: readTlsClient(config!) };
    case 'envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport':
      return {
        kind: 'internal',
        passthrough: config!.list('passthrough_metadata').flatMap((source) => readPassthrough(source) ?? []),
        inner: readTransport(config!, 'transport_socket'),
      };
    case 'envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport': {
      const proxy = config!.message('config');
      const version = proxy?.choice('version', 'V1', { V1: 1, V2: 2 } as const) ?? 1;
      return { kind: 'proxy-protocol', version, inner: readTransport(config!, 'transport_socket') };
    }
    case undefined:
      if (name === 'envoy.transport_sockets.raw_buffer') return raw;
  }
  socket.mistake('typed_config', `transport socket ${name} of type ${config?.type ?? 'none'} is not supported`);
  return raw;
}

function readPassthrough(source: Fields): PassthroughMetadata | undefined {
  const namespace = source.text('name');
  const kind = source.message('kind');
  if (kind?.message('host')) return { from: 'host', namespace };
  if (kind?.message('cluster')) return { from: 'cluster', namespace };
  source.mistake('kind', 'only metadata of host and cluster passes to an internal listener');
  return undefined;
}
