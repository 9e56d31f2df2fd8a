/** What the TLS ports take, by pilot-discovery's flags. */
import type { SecureContextOptions } from 'node:tls';
import { type SettingsReader, splitList } from '../../common/config/reader.ts';

export interface TlsSettings {
  readonly minVersion: '1.2' | '1.3';
  /** Of TLS 1.2, as OpenSSL calls them; undefined: those that Node takes. */
  readonly ciphers: readonly string[] | undefined;
  /** File with the roots of clients' certificates; undefined: those of the mesh. */
  readonly clientRoots: string | undefined;
}

export const tlsFlags = ['--tls-min-version', '--tls-cipher-suites', '--caCertFile'] as const;

/** As without flags. */
export const defaultTls: TlsSettings = { minVersion: '1.2', ciphers: undefined, clientRoots: undefined };

/** Names of RFC 5289 and RFC 7905 (IANA's, which Go uses) -> OpenSSL's: those with forward secrecy and authenticated encryption. */
const suites: Readonly<Record<string, string>> = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 'ECDHE-RSA-AES128-GCM-SHA256',
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 'ECDHE-RSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-RSA-CHACHA20-POLY1305',
};
/** They cannot be chosen from, in Go neither. */
const ofTls13 = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

export function readTls(r: SettingsReader): TlsSettings {
  const named = r.text('--tls-cipher-suites');
  const names = splitList(named ?? '');
  for (const name of names) {
    if (Object.hasOwn(suites, name) || ofTls13.includes(name)) continue;
    const there = [...Object.keys(suites), ...ofTls13].join(', ');
    r.mistake(`--tls-cipher-suites: ${JSON.stringify(name)} is unknown or insecure; there are ${there}`);
  }
  const ciphers = names.flatMap((name) => suites[name] ?? []);
  return {
    minVersion: r.choice('--tls-min-version', ['1.2', '1.3']) ?? defaultTls.minVersion,
    // With none but those of 1.3 they are the same as absent.
    ciphers: ciphers.length === 0 ? undefined : ciphers,
    clientRoots: r.text('--caCertFile'),
  };
}

/** For the context of a port. */
export function tlsOptions({ minVersion, ciphers }: TlsSettings): SecureContextOptions {
  return {
    minVersion: `TLSv${minVersion}`,
    // Node turns 1.3 off where a list names no suite of it.
    ...(ciphers !== undefined && { ciphers: [...ofTls13, ...ciphers].join(':') }),
  };
}
