/** Whether a peer's certificate is what a TLS context asks for, beyond the chain that OpenSSL verified. */
import { createHash, type X509Certificate } from 'node:crypto';
import { RE2JS } from 're2js';
import { readLeaf } from '../../common/tls/leaf.ts';
import type { SanMatch, TextMatch, Validation } from '../cluster/tls/types.ts';

export interface Peer {
  /** The first URI SAN. */
  readonly principal?: string;
  readonly dnsNames: readonly string[];
  /** RFC 2253 form. */
  readonly subject: string;
}

const types: Readonly<Record<SanMatch['type'], string>> = { email: 'email', dns: 'dns', uri: 'url', ip: 'ip' };

export function peerOf(certificate: X509Certificate): Peer {
  const { names } = readLeaf(certificate.raw);
  const uri = names.find((name) => name.startsWith('url:'));
  return {
    ...(uri !== undefined && { principal: uri.slice('url:'.length) }),
    dnsNames: names.filter((name) => name.startsWith('dns:')).map((name) => name.slice('dns:'.length)),
    // Node has one part a line, the first first.
    subject: (certificate.subject ?? '')
      .split('\n')
      .filter((part) => part !== '')
      .reverse()
      .join(','),
  };
}

/** undefined: it is. Otherwise why not. `authorized`: OpenSSL's word on the chain. */
export function refusePeer(
  certificate: X509Certificate,
  validation: Validation,
  authorized: boolean,
): string | undefined {
  const trusts = validation.trustedCa !== undefined || validation.systemRoots;
  if (trusts && validation.verifyChain && !authorized) return 'its certificate was not verified';
  const { certificateHashes, spkiHashes, sans } = validation;
  if (certificateHashes.length > 0 || spkiHashes.length > 0) {
    const fingerprint = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
    const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
    const pin = createHash('sha256').update(spki).digest('base64');
    if (!certificateHashes.includes(fingerprint) && !spkiHashes.includes(pin))
      return 'its certificate is not among those pinned';
  }
  if (sans.length === 0) return undefined;
  const { names } = readLeaf(certificate.raw);
  const matches = sans.some(({ type, match }) => {
    const prefix = `${types[type]}:`;
    return names.some((name) => name.startsWith(prefix) && matchesText(match, name.slice(prefix.length), type));
  });
  return matches ? undefined : `its certificate is for ${names.join(', ') || 'nobody'}, which no matcher accepts`;
}

function matchesText(match: TextMatch, text: string, type: SanMatch['type']): boolean {
  if (match.kind === 'regex') return regexOf(match.text).testExact(text);
  const value = match.ignoreCase || type === 'dns' ? text.toLowerCase() : text;
  const wanted = match.ignoreCase || type === 'dns' ? match.text.toLowerCase() : match.text;
  switch (match.kind) {
    case 'exact':
      // A wildcard covers one label (RFC 6125 6.4.3).
      if (type === 'dns' && value.startsWith('*.'))
        return wanted.includes('.') && wanted.slice(wanted.indexOf('.')) === value.slice(1);
      return value === wanted;
    case 'prefix':
      return value.startsWith(wanted);
    case 'suffix':
      return value.endsWith(wanted);
    case 'contains':
      return value.includes(wanted);
  }
}

const regexes = new Map<string, RE2JS>();

function regexOf(text: string): RE2JS {
  let regex = regexes.get(text);
  if (!regex) {
    regex = RE2JS.compile(text);
    regexes.set(text, regex);
  }
  return regex;
}
