/** What logs tell of a TLS connection beyond who its peer is. */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

export interface TlsDetails {
  /** `TLSv1.3`. */
  readonly version: string;
  /** OpenSSL's name. */
  readonly cipher: string;
  /** Of the key agreement; only clients are told. */
  readonly group: string | undefined;
  /** The name that the client asked for. */
  readonly serverName: string | undefined;
  readonly peer: X509Certificate | undefined;
  readonly local: X509Certificate | undefined;
}

/** To be asked while the connection is open: later nobody knows. */
export function tlsDetails(socket: TLSSocket): TlsDetails {
  const key = socket.getEphemeralKeyInfo() as { readonly name?: string } | null;
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
    group: key?.name,
    serverName: typeof socket.servername === 'string' && socket.servername !== '' ? socket.servername : undefined,
    peer: socket.getPeerX509Certificate(),
    local: socket.getX509Certificate(),
  };
}
