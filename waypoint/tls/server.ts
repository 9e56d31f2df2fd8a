/** TLS of a listener's filter chain: a DownstreamTlsContext at work. */
import { X509Certificate } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import type { Fields } from '../../common/envoy/fields.ts';
import { readTlsCommon } from '../cluster/tls/compile.ts';
import type { TlsCommon } from '../cluster/tls/types.ts';
import type { TlsFacts } from '../listener/facts.ts';
import type { ByteStream } from '../net/byte-stream.ts';
import { type Look, peek } from '../net/peek.ts';
import { toDuplex } from '../net/stream-duplex.ts';
import type { Environment } from '../runtime/environment.ts';
import { tlsDetails } from './details.ts';
import type { HandshakeTurns } from './handshake-turns.ts';
import { materialOf } from './material.ts';
import { type Peer, peerOf, refusePeer } from './peer.ts';
import type { SecretStore } from './secrets.ts';

export interface TlsServerConfig {
  readonly common: TlsCommon;
  readonly requireClientCertificate: boolean;
}

/** A DownstreamTlsContext. */
export function readTlsServer(context: Fields): TlsServerConfig {
  // Sessions are never resumed: none outlives a certificate. Ours follow the server's order always.
  context.harmless('session_timeout', 'disable_stateless_session_resumption', 'disable_stateful_session_resumption');
  const common = context.message('common_tls_context');
  if (!common) context.mistake('common_tls_context', 'is missing');
  return {
    common: readTlsCommon(common ?? context, 'TLSv1.2'),
    requireClientCertificate: context.wrappedFlag('require_client_certificate') ?? false,
  };
}

export interface Handshaken {
  readonly socket: TLSSocket;
  readonly facts: TlsFacts;
  /** When the client's certificate expires, ms since the epoch; undefined: it showed none. */
  readonly notAfter: number | undefined;
}

interface Waiting {
  succeed(socket: TLSSocket): void;
  fail(error: Error): void;
}

export class TlsServer {
  readonly #config: TlsServerConfig;
  readonly #secrets: SecretStore;
  readonly #turns: HandshakeTurns;
  readonly #clock: Clock;
  readonly #waiting = new WeakMap<object, Waiting>();
  #server: Server | undefined;
  #generation = -1;
  #material: ReturnType<typeof materialOf>;
  #localPrincipal: string | undefined;

  constructor(
    config: TlsServerConfig,
    { secrets, handshakes, clock }: Pick<Environment, 'secrets' | 'handshakes' | 'clock'>,
  ) {
    this.#config = config;
    this.#secrets = secrets;
    this.#turns = handshakes;
    this.#clock = clock;
  }

  /** Rejects when the handshake fails, when it is not over in time, or when a secret is missing; the connection is destroyed then. */
  async accept(stream: ByteStream, timeout: Millis): Promise<Handshaken> {
    let destroy = () => stream.destroy();
    const timer = this.#clock.after(timeout, () => destroy());
    try {
      // Who says nothing yet holds up nobody, and whose greeting is there spends its turn at once.
      const { kind } = await peek(stream, anything, undefined, this.#clock, undefined);
      if (kind === 'found') await this.#turns.turn();
      if (kind !== 'found' || stream.destroyed) throw new Error('the connection was closed before the TLS handshake');
      const raw = toDuplex(stream);
      destroy = () => raw.destroy();
      return await this.#shake(raw);
    } catch (error) {
      destroy();
      throw error;
    } finally {
      timer.cancel();
    }
  }

  #shake(raw: Duplex): Promise<Handshaken> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        this.#waiting.delete(raw);
        raw.destroy();
        reject(error);
      };
      raw.on('error', fail);
      raw.once('close', () => fail(new Error('the connection was closed during the TLS handshake')));
      const server = this.#current();
      if (!server) return fail(new Error('a secret of the TLS context is missing'));
      const material = this.#material!;
      this.#waiting.set(raw, {
        fail,
        succeed: (socket) => {
          this.#waiting.delete(raw);
          socket.on('error', () => socket.destroy());
          try {
            resolve(this.#check(socket, material.validation));
          } catch (e) {
            socket.destroy();
            fail(e as Error);
          }
        },
      });
      server.emit('connection', raw);
    });
  }

  #check(socket: TLSSocket, validation: TlsMaterialValidation): Handshaken {
    const certificate: X509Certificate | undefined = socket.getPeerX509Certificate();
    if (!certificate && this.#config.requireClientCertificate) throw new Error('the client shows no certificate');
    if (certificate) {
      const refusal = validation && refusePeer(certificate, validation, socket.authorized);
      if (refusal !== undefined) throw new Error(`the client is refused: ${refusal}`);
    }
    const peer: Peer | undefined = certificate && peerOf(certificate);
    return {
      socket,
      facts: {
        dnsNames: [],
        ...peer,
        verified: socket.authorized,
        hasPeer: certificate !== undefined,
        alpn: typeof socket.alpnProtocol === 'string' && socket.alpnProtocol !== '' ? socket.alpnProtocol : undefined,
        sni: typeof socket.servername === 'string' && socket.servername !== '' ? socket.servername : undefined,
        fingerprint: certificate?.fingerprint256.replaceAll(':', '').toLowerCase(),
        localPrincipal: this.#localPrincipal,
        details: tlsDetails(socket),
      },
      notAfter: certificate && Date.parse(certificate.validTo),
    };
  }

  /** Made anew when secrets have changed, so that a renewed certificate counts from the next connection on. */
  #current(): Server | undefined {
    if (this.#generation === this.#secrets.generation) return this.#server;
    const material = materialOf(this.#config.common, this.#secrets);
    if (!material) return undefined;
    const { common, requireClientCertificate } = this.#config;
    const server = createServer({
      ...material.options,
      ...(common.alpn.length > 0 && { ALPNProtocols: [...common.alpn] }),
      requestCert: requireClientCertificate || material.validation !== undefined,
      // Decided here, where the reason can be told.
      rejectUnauthorized: false,
      handshakeTimeout: 600_000,
    });
    server.on('secureConnection', (socket) => {
      const waiting = this.#waiting.get(underlying(socket));
      if (waiting) waiting.succeed(socket);
      else socket.destroy();
    });
    server.on('tlsClientError', (error, socket) => {
      socket.destroy();
      this.#waiting.get(underlying(socket))?.fail(error);
    });
    const [own] = material.options.cert as Buffer[];
    this.#localPrincipal = own && peerOf(new X509Certificate(own)).principal;
    this.#server = server;
    this.#material = material;
    this.#generation = this.#secrets.generation;
    return server;
  }
}

const anything: (bytes: Buffer) => Look<undefined> = () => ({ kind: 'done', found: undefined, consumed: 0 });

type TlsMaterialValidation = NonNullable<ReturnType<typeof materialOf>>['validation'];

/** The socket that was handed in. Node has no public name for it; without it every handshake is refused. */
function underlying(socket: TLSSocket): object {
  return (socket as TLSSocket & { readonly _parent?: Duplex })._parent ?? socket;
}
