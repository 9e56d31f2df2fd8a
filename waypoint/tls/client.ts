/** TLS to an upstream host: an UpstreamTlsContext at work. */

import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { TlsClient, Validation } from '../cluster/tls/types.ts';
import { materialOf } from './material.ts';
import { refusePeer } from './peer.ts';
import type { SecretStore } from './secrets.ts';

interface Made {
  readonly generation: number;
  readonly context: SecureContext;
  readonly validation: Validation | undefined;
}

export interface TlsClientRequest {
  /** Instead of the context's. */
  readonly sni?: string | undefined;
  /** Must be among the server's names besides (auto_san_validation). */
  readonly alsoName?: string | undefined;
  /** Where the context names none. */
  readonly alpn: readonly string[];
}

export class TlsClients {
  readonly #secrets: SecretStore;
  readonly #made = new WeakMap<TlsClient, Made>();

  constructor(secrets: SecretStore) {
    this.#secrets = secrets;
  }

  /** Rejects when the handshake fails; `raw` is destroyed then. */
  connect(raw: Duplex, tls: TlsClient, request: TlsClientRequest): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      let made: Made | undefined;
      try {
        made = this.#of(tls);
      } catch (e) {
        raw.destroy();
        return reject(e);
      }
      if (!made) {
        raw.destroy();
        return reject(new Error('a secret of the TLS context is missing'));
      }
      const { context, validation } = made;
      raw.on('error', () => undefined);
      const sni = request.sni ?? tls.sni;
      const socket = connect({
        socket: raw,
        secureContext: context,
        ALPNProtocols: [...(tls.alpn.length > 0 ? tls.alpn : request.alpn)],
        rejectUnauthorized: false,
        checkServerIdentity: () => undefined,
        ...(sni !== '' && isIP(sni) === 0 && { servername: sni }),
      });
      const fail = (error: Error) => {
        socket.destroy();
        raw.destroy();
        reject(error);
      };
      socket.on('error', fail);
      socket.once('close', () => fail(new Error('the connection was closed during the TLS handshake')));
      socket.once('secureConnect', () => {
        const certificate = socket.getPeerX509Certificate();
        if (!certificate) return fail(new Error('the server shows no certificate'));
        const { alsoName } = request;
        const wanted: Validation | undefined =
          validation && alsoName !== undefined
            ? {
                ...validation,
                sans: [
                  { type: isIP(alsoName) ? 'ip' : 'dns', match: { kind: 'exact', text: alsoName, ignoreCase: true } },
                ],
              }
            : validation;
        try {
          const refusal = wanted && refusePeer(certificate, wanted, socket.authorized);
          if (refusal !== undefined) return fail(new Error(`the server is refused: ${refusal}`));
        } catch (e) {
          return fail(e as Error);
        }
        resolve(socket);
      });
    });
  }

  #of(tls: TlsClient): Made | undefined {
    const found = this.#made.get(tls);
    if (found?.generation === this.#secrets.generation) return found;
    const material = materialOf(tls, this.#secrets);
    if (!material) return undefined;
    const made = {
      generation: this.#secrets.generation,
      context: createSecureContext(material.options),
      validation: material.validation,
    };
    this.#made.set(tls, made);
    return made;
  }
}
