/**
 * The proxy's own certificate for Envoy: SDS with `default` (key and chain) and `ROOTCA` (whom it trusts), over a unix socket, so keys
 * pass no network. Streams are told of each renewed certificate.
 */
import type { ServerDuplexStream, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import { decodeEnvoy, encodeEnvoy, typeUrl } from '../../common/envoy/codec.ts';
import type { WorkloadCertificate } from '../../common/identity/types.ts';
import { type FileSecret, FileSecrets, placeOf } from '../tls/file-secrets.ts';
import { rawStream } from './raw-stream.ts';

/** Names that Istio's resources have for them. */
export const ownSecret = 'default';
export const rootsSecret = 'ROOTCA';

const secretType = typeUrl('envoy.extensions.transport_sockets.tls.v3.Secret');
const requestType = typeUrl('envoy.service.discovery.v3.DiscoveryRequest');
const responseType = typeUrl('envoy.service.discovery.v3.DiscoveryResponse');

export const secretsService: ServiceDefinition = {
  StreamSecrets: rawStream('/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets'),
};

interface Request {
  readonly resource_names?: readonly string[];
  readonly response_nonce?: string;
  readonly error_detail?: { readonly message?: string };
}

/** One stream of Envoy. */
interface Subscriber {
  readonly call: ServerDuplexStream<Buffer, Buffer>;
  names: readonly string[];
  /** Of the last response; empty before the first one. */
  nonce: string;
}

export class SecretServer {
  readonly #log: Logger;
  readonly #files: FileSecrets;
  readonly #subscribers = new Set<Subscriber>();
  #certificate: WorkloadCertificate | undefined;
  #version = 0;
  #nonce = 0;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#files = new FileSecrets({ clock, log, changed: () => this.#changed() });
  }

  close(): void {
    this.#files.close();
  }

  get handlers(): UntypedServiceImplementation {
    return { StreamSecrets: (call: ServerDuplexStream<Buffer, Buffer>) => this.#serve(call) };
  }

  /** The certificate from now on. */
  put(certificate: WorkloadCertificate): void {
    this.#certificate = certificate;
    this.#changed();
  }

  #changed(): void {
    this.#version++;
    for (const subscriber of this.#subscribers) this.#send(subscriber);
  }

  #serve(call: ServerDuplexStream<Buffer, Buffer>): void {
    const subscriber: Subscriber = { call, names: [], nonce: '' };
    this.#subscribers.add(subscriber);
    call.on('data', (message: Buffer) => this.#heard(subscriber, message));
    call.on('end', () => call.end());
    call.on('error', (e) => this.#log.debug('a stream of secrets broke', { error: e.message }));
    for (const event of ['close', 'cancelled', 'end']) call.on(event, () => this.#subscribers.delete(subscriber));
  }

  #heard(subscriber: Subscriber, message: Buffer): void {
    const decoded = decodeEnvoy(requestType, message);
    if (decoded.kind === 'rejected') {
      this.#log.warn('a request for secrets is not understood', { error: decoded.reason });
      return;
    }
    const { resource_names: names = [], response_nonce: nonce = '', error_detail: error } = decoded.value as Request;
    if (error !== undefined) this.#log.error('Envoy refuses its certificate', { error: error.message });
    // An answer to something older than the last response; what is new in it comes again with the answer to that.
    if (nonce !== subscriber.nonce) return;
    const isNew = nonce === '' || names.join() !== subscriber.names.join();
    subscriber.names = names;
    if (isNew) this.#send(subscriber);
  }

  #send(subscriber: Subscriber): void {
    const resources = subscriber.names.flatMap((name) => this.#secret(name));
    if (resources.length === 0) return;
    subscriber.nonce = String(++this.#nonce);
    subscriber.call.write(
      encodeEnvoy({
        '@type': responseType,
        type_url: secretType,
        version_info: String(this.#version),
        nonce: subscriber.nonce,
        resources,
      } as { '@type': string }),
    );
  }

  /** None while it is not there yet. */
  #secret(name: string): readonly object[] {
    const certificate = this.#certificate;
    if (name === ownSecret || name === rootsSecret) return certificate ? [secretOf(name, certificate)] : [];
    if (placeOf(name)) {
      this.#files.want(name);
      const secret = this.#files.get(name);
      return secret ? [resourceOf(name, secret)] : [];
    }
    this.#log.warn('Envoy was told to ask for a secret that this agent does not have', { secret: name });
    return [];
  }
}

function secretOf(name: string, { chain, privateKey, roots }: WorkloadCertificate): object {
  const bytesOf = (parts: readonly string[]) => Buffer.from(parts.map(line).join(''));
  return resourceOf(
    name,
    name === ownSecret
      ? { kind: 'certificate', chain: bytesOf(chain), key: bytesOf([privateKey]) }
      : { kind: 'roots', pem: bytesOf(roots) },
  );
}

function resourceOf(name: string, secret: FileSecret): object {
  const held =
    secret.kind === 'roots'
      ? { validation_context: { trusted_ca: { inline_bytes: secret.pem } } }
      : {
          tls_certificate: {
            certificate_chain: { inline_bytes: secret.chain },
            private_key: { inline_bytes: secret.key },
          },
        };
  return { '@type': secretType, name, ...held };
}

function line(pem: string): string {
  return pem.endsWith('\n') ? pem : `${pem}\n`;
}
