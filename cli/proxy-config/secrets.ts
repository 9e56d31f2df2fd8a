/** `aquifer proxy-config secret`. Pure. */
import { X509Certificate } from 'node:crypto';
import { get, type Json, type SecretEntry } from './dump.ts';
import type { Table } from './table.ts';

/** The first certificate of a secret; undefined where it holds none that can be read. */
function certificateOf(secret: Json): X509Certificate | undefined {
  const encoded =
    get(secret, 'tls_certificate', 'certificate_chain', 'inline_bytes') ??
    get(secret, 'validation_context', 'trusted_ca', 'inline_bytes');
  if (typeof encoded !== 'string') return undefined;
  try {
    return new X509Certificate(Buffer.from(encoded, 'base64'));
  } catch {
    return undefined;
  }
}

/** `now` in ms since the epoch. */
export function secretTable(secrets: readonly SecretEntry[], now: number): Table {
  const rows = secrets.map(({ name, state, secret }) => {
    const found = certificateOf(secret);
    if (found === undefined) return { trustDomain: '', cells: [name, '', state, 'false', '', '', ''] };
    const { validFromDate: from, validToDate: to } = found;
    return {
      trustDomain: /URI:spiffe:\/\/([^/,]+)/.exec(found.subjectAltName ?? '')?.[1] ?? '',
      cells: [
        name,
        found.ca ? 'CA' : 'Cert Chain',
        state,
        String(now > from.getTime() && now < to.getTime()),
        found.serialNumber.toLowerCase().padStart(32, '0'),
        seconds(to),
        seconds(from),
      ],
    };
  });
  const header = ['RESOURCE NAME', 'TYPE', 'STATUS', 'VALID CERT', 'SERIAL NUMBER', 'NOT AFTER', 'NOT BEFORE'];
  // With some of the domains missing the column would mislead.
  const withDomain = rows.every((r) => r.trustDomain !== '');
  return {
    header: withDomain ? [...header, 'TRUST DOMAIN'] : header,
    rows: rows.map((r) => (withDomain ? [...r.cells, r.trustDomain] : r.cells)),
  };
}

function seconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}
