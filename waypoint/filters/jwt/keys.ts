/**
 * Keys of an issuer (RFC 7517), and whether one of them signed a token. A key does what its own type says and nothing that a token asks
 * for: a public key is never a secret, a curve has one algorithm, and keys come from the configuration alone, whatever `jwk`, `jku`,
 * `x5u` or `x5c` a token's header names.
 */
import { constants, createHmac, createPublicKey, type KeyObject, timingSafeEqual, verify } from 'node:crypto';
import { parseObject } from './json.ts';
import { type JwtStatus, statuses } from './status.ts';
import type { Token } from './token.ts';

type Sort = 'RS' | 'PS' | 'ES256' | 'ES384' | 'ES512' | 'EdDSA' | 'HS';

interface Key {
  /** Empty: not said; then any token may be its own. */
  readonly kid: string;
  readonly alg: string;
  readonly sorts: readonly Sort[];
  readonly key:
    | { readonly kind: 'public'; readonly key: KeyObject }
    | { readonly kind: 'secret'; readonly secret: Buffer };
}

export type Keys = readonly Key[];

/** More than these are no key set of an issuer. */
const mostKeys = 256;
/** What is below can be broken (OpenSSL's own bound is above). */
const leastRsaBits = 1_024;

/** undefined: no key set. Keys of other types and uses are left out. */
export function parseKeys(text: string): Keys | undefined {
  const list = parseObject(Buffer.from(text))?.['keys'];
  if (!Array.isArray(list) || list.length > mostKeys) return undefined;
  return list.flatMap((jwk: unknown) => {
    const key = typeof jwk === 'object' && jwk !== null ? readKey(jwk as Readonly<Record<string, unknown>>) : undefined;
    return key ? [key] : [];
  });
}

function readKey(jwk: Readonly<Record<string, unknown>>): Key | undefined {
  const { kid = '', alg = '', use, kty } = jwk;
  if (typeof kid !== 'string' || typeof alg !== 'string' || use === 'enc') return undefined;
  if (kty === 'oct') {
    const { k } = jwk;
    if (typeof k !== 'string' || !/^[A-Za-z0-9_-]+$/.test(k)) return undefined;
    return { kid, alg, sorts: ['HS'], key: { kind: 'secret', secret: Buffer.from(k, 'base64url') } };
  }
  try {
    const { d: _, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...open } = jwk;
    const key = createPublicKey({ key: open as never, format: 'jwk' });
    const sorts = sortsOf(key);
    return sorts && { kid, alg, sorts, key: { kind: 'public', key } };
  } catch {
    return undefined;
  }
}

const curves: Readonly<Record<string, Sort>> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' };

function sortsOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): readonly Sort[] | undefined {
  switch (asymmetricKeyType) {
    case 'rsa':
      return (asymmetricKeyDetails?.modulusLength ?? 0) < leastRsaBits ? undefined : ['RS', 'PS'];
    case 'ec': {
      const sort = curves[asymmetricKeyDetails?.namedCurve ?? ''];
      return sort && [sort];
    }
    case 'ed25519':
      return ['EdDSA'];
    default:
      return undefined;
  }
}

/** Bytes (RFC 8032 5.1.6). */
const edSignature = 64;

export function verifyToken(token: Token, keys: Keys): JwtStatus {
  const able = keys.filter(
    ({ kid, alg }) => (token.kid === '' || kid === '' || kid === token.kid) && (alg === '' || alg === token.alg),
  );
  if (able.length === 0) return statuses.noMatchingKey;
  if (token.hasCritical) return statuses.verification;
  if (able.some((key) => signedBy(token, key))) return statuses.ok;
  const isEd = able.some(({ sorts }) => sorts.includes('EdDSA'));
  return isEd && token.signature.length !== edSignature ? statuses.edLength : statuses.verification;
}

function signedBy({ alg, signed, signature }: Token, { sorts, key }: Key): boolean {
  const sort = sorts.find((s) => s === alg || s === alg.slice(0, 2));
  if (sort === undefined) return false;
  const hash = `sha${alg.slice(2)}`;
  if (key.kind === 'secret') {
    const expected = createHmac(hash, key.secret).update(signed).digest();
    return expected.length === signature.length && timingSafeEqual(expected, signature);
  }
  return verify(sort === 'EdDSA' ? null : hash, Buffer.from(signed), { key: key.key, ...optionsOf(sort) }, signature);
}

function optionsOf(sort: Sort): object {
  switch (sort) {
    case 'PS':
      return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
    case 'RS':
      return { padding: constants.RSA_PKCS1_PADDING };
    case 'ES256':
    case 'ES384':
    case 'ES512':
      return { dsaEncoding: 'ieee-p1363' };
    case 'EdDSA':
    case 'HS':
      return {};
  }
}
