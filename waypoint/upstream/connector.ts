/** Makes connections to hosts: address, then the cluster's transport sockets, then the codec. */
import { connect as connectTcp, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import { type Ip, ipToBytes, parseIp } from '../../common/core/net.ts';
import type { CheckedCluster } from '../cluster/config.ts';
import type { Connecting, ConnectionEvents, Connector, ConnectRequest, WireProtocol } from '../cluster/pool-types.ts';
import type { PassthroughMetadata, Transport } from '../cluster/transport.ts';
import type { Host, HostAddress } from '../cluster/types.ts';
import type { ClientCodec, ClientHandler } from '../http/client-codec.ts';
import { Http1Client } from '../http/http1/client.ts';
import { Http2Client } from '../http/http2/client.ts';
import type { ByteStream } from '../net/byte-stream.ts';
import type { Departure } from '../net/departure.ts';
import { DuplexStream } from '../net/duplex-stream.ts';
import { toDuplex } from '../net/stream-duplex.ts';
import type { Address } from '../request/view.ts';
import type { TlsClients } from '../tls/client.ts';
import { type TlsDetails, tlsDetails } from '../tls/details.ts';
import { nextConnectionId, type UpstreamAbout } from './about.ts';
import type { Inherited, InternalListeners } from './internal.ts';

/** A connection to a host, as pools hand it out. */
export type UpstreamConnection =
  | {
      readonly kind: 'http';
      readonly codec: ClientCodec;
      readonly local: HostAddress | undefined;
      readonly about: UpstreamAbout;
    }
  | {
      readonly kind: 'tcp';
      readonly stream: ByteStream;
      readonly local: HostAddress | undefined;
      readonly about: UpstreamAbout;
    };

/** `PoolKey.value` of our requests. */
export interface ConnectionKey {
  readonly filterState: Inherited['filterState'];
  readonly sni: string | undefined;
  /** For PROXY headers. */
  readonly downstream: { readonly remote: Address; readonly local: Address } | undefined;
}

export interface ConnectorOptions {
  readonly cluster: CheckedCluster;
  readonly internal: InternalListeners;
  readonly tls: TlsClients;
  readonly clock: Clock;
}

class Failed extends Error {
  readonly tls: boolean;

  constructor(detail: string, tls = false) {
    super(detail);
    this.tls = tls;
  }
}

/** The near end of every connection to a listener of this process, by Envoy's name for it. */
const inside: HostAddress = { kind: 'internal', listener: 'internal_client_address', endpointId: '' };

export function createConnector(options: ConnectorOptions): Connector<UpstreamConnection> {
  return { connect: (request, events) => new Attempt(options, request, events) };
}

interface Made {
  readonly stream: ByteStream;
  readonly local: HostAddress | undefined;
  /** By ALPN. */
  readonly alpn: string | undefined;
  readonly encrypted: boolean;
  readonly tls?: TlsDetails;
}

class Attempt implements Connecting {
  readonly #options: ConnectorOptions;
  readonly #request: ConnectRequest;
  readonly #events: ConnectionEvents<UpstreamConnection>;
  #codec: ClientCodec | undefined;
  #stream: ByteStream | undefined;
  #socket: Socket | undefined;
  readonly #started: number;
  #over = false;

  constructor(options: ConnectorOptions, request: ConnectRequest, events: ConnectionEvents<UpstreamConnection>) {
    this.#options = options;
    this.#request = request;
    this.#events = events;
    this.#started = options.clock.now();
    this.#run().catch((error: unknown) => {
      this.#stream?.destroy();
      this.#closed(describeError(error), { by: 'peer', isBusy: false }, error instanceof Failed && error.tls);
    });
  }

  close(graceful: boolean): void {
    if (this.#over) return;
    if (this.#codec) {
      if (graceful) this.#codec.drain();
      else this.#codec.cut(new Error('the connection was closed'));
      return;
    }
    const isBusy = this.#stream !== undefined;
    this.#socket?.destroy();
    this.#stream?.destroy();
    setImmediate(() => this.#closed('the connection was given up', { by: 'us', isBusy }));
  }

  #closed(detail: string, departure: Departure, tls = false): void {
    if (this.#over) return;
    this.#over = true;
    this.#events.closed(detail, departure, tls);
  }

  async #run(): Promise<void> {
    const { host, transport, protocol } = this.#request;
    const raw = await this.#open(host, transport);
    const { clock } = this.#options;
    const connected = clock.now();
    const made = await this.#secure(raw, transport, protocol);
    const tls = made.tls && { done: clock.now(), details: made.tls };
    const about: UpstreamAbout = { id: nextConnectionId(), started: this.#started, connected, tls };
    if (this.#over) {
      made.stream.destroy();
      return;
    }
    this.#stream = made.stream;
    const wire = protocol === 'auto' ? (made.alpn === 'h2' ? 'http2' : 'http1') : protocol;
    this.#speak(made, wire, about);
  }

  #speak(made: Made, wire: 'http1' | 'http2' | 'tcp', about: UpstreamAbout): void {
    const { cluster, clock } = this.#options;
    const { stream, local } = made;
    const events = this.#events;
    if (wire === 'tcp') {
      // Who is given the stream reads it, and tells the pool by release.
      events.opened({ kind: 'tcp', stream, local, about }, 'tcp', 1);
      return;
    }
    const handler: ClientHandler = {
      allowed: (streams) => events.allowed(streams),
      draining: () => {
        if (!this.#over) events.draining();
      },
      closed: (error, departure) => this.#closed(error?.message ?? 'the host closed the connection', departure),
    };
    const { protocol } = cluster;
    const limits = { bytes: protocol.maxHeaderBytes, count: protocol.maxHeaders };
    if (wire === 'http1') {
      const codec = new Http1Client(stream, { ...limits, ...protocol.http1 }, handler);
      this.#codec = codec;
      events.opened({ kind: 'http', codec, local, about }, 'http1', 1);
      return;
    }
    const { http2 } = protocol;
    const opened = (streams: number) => events.opened({ kind: 'http', codec, local, about }, 'http2', streams);
    const codec = new Http2Client(
      stream,
      { ...limits, ...http2 },
      made.encrypted ? 'https' : 'http',
      clock,
      opened,
      handler,
    );
    this.#codec = codec;
  }

  #open(host: Host, transport: Transport): Promise<Made> {
    const key = this.#request.key.value as ConnectionKey | undefined;
    const { address } = host;
    if (address.kind === 'internal') {
      const metadata = passedOn(transport, host, this.#options.cluster);
      const inherited = { filterState: key?.filterState ?? new Map(), metadata };
      const left = () => {
        if (!this.#over) this.#events.draining();
      };
      const stream = this.#options.internal.connect(address.listener, inherited, left);
      if (!stream) return Promise.reject(new Failed(`there is no internal listener ${address.listener}`));
      this.#stream = stream;
      const made = { stream, local: inside, alpn: undefined, encrypted: false };
      return this.#request.protocol === 'tcp' ? settled(made) : Promise.resolve(made);
    }
    return this.#openSocket(address);
  }

  #openSocket(address: Exclude<HostAddress, { readonly kind: 'internal' }>): Promise<Made> {
    const { keepalive, bind, bufferLimit } = this.#options.cluster;
    return new Promise((resolve, reject) => {
      const socket = connectTcp({
        ...(address.kind === 'pipe' ? { path: address.path } : { host: address.ip, port: address.port }),
        ...(bind && { localAddress: bind.ip, localPort: bind.port }),
        allowHalfOpen: true,
        noDelay: true,
        ...(bufferLimit !== undefined && { highWaterMark: bufferLimit }),
      });
      if (keepalive) {
        const { idle, interval, probes } = keepalive;
        socket.setKeepAlive({
          enable: true,
          ...(idle !== undefined && { initialDelay: idle * 1_000 }),
          ...(interval !== undefined && { interval: interval * 1_000 }),
          ...(probes !== undefined && { count: probes }),
        });
      }
      this.#socket = socket;
      socket.once('error', (error) => reject(new Failed(error.message)));
      socket.once('connect', () => {
        const ip = parseIp(socket.localAddress ?? '');
        const local = ip && ({ kind: 'ip', ip, port: socket.localPort ?? 0 } as const);
        resolve({ stream: new DuplexStream(socket), local, alpn: undefined, encrypted: false });
      });
    });
  }

  async #secure(made: Made, transport: Transport, protocol: WireProtocol): Promise<Made> {
    switch (transport.kind) {
      case 'raw':
        return made;
      case 'internal':
        return this.#secure(made, transport.inner, protocol);
      case 'proxy-protocol': {
        const downstream = (this.#request.key.value as ConnectionKey | undefined)?.downstream;
        made.stream.write(proxyHeader(transport.version, downstream));
        return this.#secure(made, transport.inner, protocol);
      }
      case 'tls': {
        const { autoSanValidation } = this.#options.cluster.protocol;
        const sni = (this.#request.key.value as ConnectionKey | undefined)?.sni;
        const name = sni ?? transport.tls.sni;
        let socket: TLSSocket;
        try {
          socket = await this.#options.tls.connect(toDuplex(made.stream), transport.tls, {
            sni,
            alsoName: autoSanValidation && name !== '' ? name : undefined,
            alpn: alpnFor[protocol],
          });
        } catch (error) {
          throw new Failed(describeError(error), true);
        }
        const alpn = typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : undefined;
        const { local } = made;
        return { stream: new DuplexStream(socket), local, alpn, encrypted: true, tls: tlsDetails(socket) };
      }
    }
  }
}

/** By then the listener has refused a connection for which there is no chain or host: nobody is told that it stands. */
async function settled(made: Made): Promise<Made> {
  await nextTurn();
  if (made.stream.destroyed) throw new Failed('the internal listener closed the connection');
  return made;
}

const alpnFor: Readonly<Record<WireProtocol, readonly string[]>> = {
  http1: [],
  http2: ['h2'],
  auto: ['h2', 'http/1.1'],
  tcp: [],
};

export function passedOn(
  transport: Transport,
  host: Pick<Host, 'metadata'>,
  cluster: CheckedCluster,
): Inherited['metadata'] {
  const list: readonly PassthroughMetadata[] = transport.kind === 'internal' ? transport.passthrough : [];
  const out = new Map<string, Readonly<Record<string, unknown>>>();
  for (const { from, namespace } of list) {
    const struct = (from === 'host' ? host : cluster).metadata[namespace];
    if (struct) out.set(namespace, struct);
  }
  return out;
}

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** Version 2 without TLVs; LOCAL (UNKNOWN) where the addresses are not known or not of one family. */
export function proxyHeader(version: 1 | 2, addresses: ConnectionKey['downstream']): Buffer {
  const source = parseIp(addresses?.remote.address ?? '');
  const destination = parseIp(addresses?.local.address ?? '');
  const known = source !== undefined && destination !== undefined && source.includes(':') === destination.includes(':');
  if (!known)
    return version === 1 ? Buffer.from('PROXY UNKNOWN\r\n') : Buffer.concat([signature, Buffer.from([0x20, 0, 0, 0])]);
  const { remote, local } = addresses!;
  const sixth = source.includes(':');
  if (version === 1) {
    return Buffer.from(`PROXY TCP${sixth ? 6 : 4} ${source} ${destination} ${remote.port} ${local.port}\r\n`);
  }
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(remote.port, 0);
  ports.writeUInt16BE(local.port, 2);
  const body = Buffer.concat([ipToBytes(source as Ip), ipToBytes(destination as Ip), ports]);
  const head = Buffer.from([0x21, sixth ? 0x21 : 0x11, 0, body.length]);
  return Buffer.concat([signature, head, body]);
}
