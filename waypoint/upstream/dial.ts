/** Connections for active health checks: the host's transport, without a codec. */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Dial } from '../cluster/health/probe.ts';
import type { Transport } from '../cluster/transport.ts';
import type { HostAddress } from '../cluster/types.ts';
import { toDuplex } from '../net/stream-duplex.ts';
import { type ConnectorOptions, passedOn, proxyHeader } from './connector.ts';

export function dialer(options: ConnectorOptions): Dial {
  return async (host, address, alpn, signal, transport) => {
    const raw = await open(options, transport, address, host.metadata, signal);
    if (signal.aborted) {
      raw.destroy();
      throw signal.reason;
    }
    signal.addEventListener('abort', () => raw.destroy(), { once: true });
    return secure(options, raw, transport, alpn);
  };
}

async function open(
  { internal, cluster }: ConnectorOptions,
  transport: Transport,
  address: HostAddress,
  metadata: Parameters<typeof passedOn>[1]['metadata'],
  signal: AbortSignal,
): Promise<Duplex> {
  if (address.kind === 'internal') {
    const inherited = { filterState: new Map(), metadata: passedOn(transport, { metadata }, cluster) };
    const stream = internal.connect(address.listener, inherited);
    if (!stream) throw new Error(`there is no internal listener ${address.listener}`);
    return toDuplex(stream);
  }
  const socket = connectTcp({
    ...(address.kind === 'pipe' ? { path: address.path } : { host: address.ip, port: address.port }),
    noDelay: true,
  });
  try {
    await once(socket, 'connect', { signal });
  } catch (e) {
    socket.destroy();
    throw e;
  }
  return socket;
}

async function secure(
  options: ConnectorOptions,
  raw: Duplex,
  transport: Transport,
  alpn: readonly string[],
): Promise<Duplex> {
  switch (transport.kind) {
    case 'raw':
      return raw;
    case 'internal':
      return secure(options, raw, transport.inner, alpn);
    case 'proxy-protocol':
      raw.write(proxyHeader(transport.version, undefined));
      return secure(options, raw, transport.inner, alpn);
    case 'tls':
      return options.tls.connect(raw, transport.tls, { alpn });
  }
}
