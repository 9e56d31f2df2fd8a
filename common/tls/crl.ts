/** Certificate revocation lists (RFC 5280 5), as PEM files hold them. Complete lists of one issuer only. */
import { type KeyObject, verify, type X509Certificate } from 'node:crypto';
import { describeError, MeshError } from '../core/errors.ts';
import { DerReader, hexInteger, tag, timeOf } from './der.ts';

export interface RevocationList {
  /** Name of the issuer, DER. */
  readonly issuer: Buffer;
  /** As {@link serialOf} gives them. */
  readonly revoked: ReadonlySet<string>;
  /** Ms since the epoch; undefined: the list says of no time that it is too old. */
  readonly nextUpdate: number | undefined;
  /** Whether whoever has this key has signed it. */
  signedBy(key: KeyObject): boolean;
}

/** Object identifiers, DER, to the hash that node:crypto wants; null: part of the scheme. */
const hashes: ReadonlyMap<string, string | null> = new Map([
  ['2a864886f70d01010b', 'sha256'],
  ['2a864886f70d01010c', 'sha384'],
  ['2a864886f70d01010d', 'sha512'],
  ['2a8648ce3d040302', 'sha256'],
  ['2a8648ce3d040303', 'sha384'],
  ['2a8648ce3d040304', 'sha512'],
  ['2b6570', null],
]);

const begin = '-----BEGIN X509 CRL-----';
const end = '-----END X509 CRL-----';

/** All lists of a PEM text, at least one. MeshError CONFIG says which one is damaged, and how. */
export function parseRevocationLists(pem: string): readonly RevocationList[] {
  const lists: RevocationList[] = [];
  for (let at = pem.indexOf(begin); at >= 0; at = pem.indexOf(begin, at)) {
    const stop = pem.indexOf(end, at);
    const n = lists.length + 1;
    const body = stop < 0 ? '' : pem.slice(at + begin.length, stop).replace(/\s/g, '');
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(body)) throw damaged(n, 'its PEM block does not end or is no base64');
    try {
      lists.push(parseList(Buffer.from(body, 'base64')));
    } catch (cause) {
      throw damaged(n, describeError(cause), cause);
    }
    at = stop;
  }
  if (lists.length === 0) throw new MeshError('CONFIG', 'it holds no PEM block "X509 CRL"');
  return lists;
}

/** Comparable form of a certificate's serial number. */
export function serialOf(certificate: X509Certificate): string {
  return hexInteger(Buffer.from(certificate.serialNumber.padStart(2, '0'), 'hex'));
}

/** Name of a certificate's subject, DER. */
export function subjectOf(certificate: X509Certificate): Buffer {
  const fields = new DerReader(certificate.raw).enter(tag.sequence).enter(tag.sequence);
  if (fields.next === tag.explicit0) fields.take(tag.explicit0);
  fields.take(tag.integer);
  fields.take(tag.sequence);
  fields.take(tag.sequence);
  fields.take(tag.sequence);
  return fields.take(tag.sequence).whole;
}

function parseList(der: Buffer): RevocationList {
  const outer = new DerReader(der);
  const parts = outer.enter(tag.sequence);
  const signed = parts.take(tag.sequence);
  const algorithm = parts.enter(tag.sequence).take(tag.objectId).content.toString('hex');
  const bits = parts.take(tag.bitString).content;
  if (!parts.done || !outer.done) throw new MeshError('PROTOCOL', 'something follows the list');
  const hash = hashes.get(algorithm);
  if (hash === undefined)
    throw new MeshError('PROTOCOL', `its signature algorithm (OID ${algorithm}) is not supported`);

  const fields = new DerReader(signed.content);
  if (fields.next === tag.integer) fields.take(tag.integer);
  fields.take(tag.sequence);
  const issuer = fields.take(tag.sequence).whole;
  timeOf(fields);
  const nextUpdate = isTime(fields.next) ? timeOf(fields) : undefined;
  const revoked = fields.next === tag.sequence ? entries(fields.enter(tag.sequence)) : new Set<string>();
  if (fields.next === tag.explicit0) refuseCritical(fields.enter(tag.explicit0).enter(tag.sequence));
  if (!fields.done) throw new MeshError('PROTOCOL', 'its fields are not those of a list');
  return {
    issuer,
    revoked,
    nextUpdate,
    // The first byte of a bit string counts unused bits, of which signatures have none.
    signedBy: (key) => bits[0] === 0 && verifies(hash, signed.whole, key, bits.subarray(1)),
  };
}

/** A key of another kind than the signature is nobody who signed it. */
function verifies(hash: string | null, signed: Buffer, key: KeyObject, signature: Buffer): boolean {
  try {
    return verify(hash, signed, key, signature);
  } catch {
    return false;
  }
}

function entries(list: DerReader): ReadonlySet<string> {
  const revoked = new Set<string>();
  while (!list.done) {
    const entry = list.enter(tag.sequence);
    revoked.add(hexInteger(entry.take(tag.integer).content));
    timeOf(entry);
    if (!entry.done) refuseCritical(entry.enter(tag.sequence));
  }
  return revoked;
}

/** What is critical changes what a list means: delta lists, lists of several issuers or of some certificates only. */
function refuseCritical(extensions: DerReader): void {
  while (!extensions.done) {
    const extension = extensions.enter(tag.sequence);
    const id = extension.take(tag.objectId).content.toString('hex');
    const critical = extension.next === tag.boolean && extension.take(tag.boolean).content[0] !== 0;
    if (critical) {
      throw new MeshError(
        'PROTOCOL',
        `it has the critical extension ${id} (hexadecimal OID); only complete lists of one issuer are supported`,
      );
    }
  }
}

function isTime(next: number | undefined): boolean {
  return next === tag.utcTime || next === tag.generalizedTime;
}

function damaged(n: number, why: string, cause?: unknown): MeshError {
  return new MeshError('CONFIG', `list ${n} is damaged: ${why}`, { cause });
}
