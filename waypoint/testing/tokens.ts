/** Issuers of tokens with keys of every kind, tokens of theirs, and forged ones. */
import {
  constants,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign as signBytes,
} from 'node:crypto';

export type Alg = 'RS256' | 'RS384' | 'RS512' | 'PS256' | 'PS384' | 'PS512' | 'ES256' | 'ES384' | 'ES512' | 'EdDSA';

interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const pairs: Readonly<Record<Alg, Pair>> = {
  RS256: rsa,
  RS384: rsa,
  RS512: rsa,
  PS256: rsa,
  PS384: rsa,
  PS512: rsa,
  ES256: generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  ES384: generateKeyPairSync('ec', { namedCurve: 'secp384r1' }),
  ES512: generateKeyPairSync('ec', { namedCurve: 'secp521r1' }),
  EdDSA: generateKeyPairSync('ed25519'),
};
const stranger = generateKeyPairSync('rsa', { modulusLength: 2_048 });
export const algs = Object.keys(pairs) as readonly Alg[];

/** RFC 7517, of the keys of these algorithms; `kid` is the algorithm, but of RSA `rsa`. */
export function jwks(of: readonly Alg[] = algs): string {
  const kids = new Map(of.map((alg) => [kidOf(alg), pairs[alg].publicKey]));
  return JSON.stringify({ keys: [...kids].map(([kid, key]) => ({ ...key.export({ format: 'jwk' }), kid })) });
}

export function kidOf(alg: Alg): string {
  return /^[RP]S/.test(alg) ? 'rsa' : alg;
}

type Json = Readonly<Record<string, unknown>>;

export const base64 = (value: Json | string) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** Signed as `alg` says, whatever the header and claims are. */
export function signed(alg: Alg, header: Json | string, claims: Json | string, key = pairs[alg].privateKey): string {
  const text = `${base64(header)}.${base64(claims)}`;
  return `${text}.${signature(alg, text, key).toString('base64url')}`;
}

function signature(alg: Alg, text: string, key: KeyObject): Buffer {
  if (alg === 'EdDSA') return signBytes(null, Buffer.from(text), key);
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  const options = alg.startsWith('PS') ? pss : alg.startsWith('ES') ? { dsaEncoding: 'ieee-p1363' as const } : {};
  return signBytes(`sha${alg.slice(2)}`, Buffer.from(text), { key, ...options });
}

/** One that its issuer signed. */
export function token(claims: Json, alg: Alg = 'RS256', header: Json = {}): string {
  return signed(alg, { alg, kid: kidOf(alg), typ: 'JWT', ...header }, claims);
}

export interface Forged {
  readonly name: string;
  readonly token: string;
  /** Envoy takes it: what RFC 7515 forbids, but its issuer signed. */
  readonly lax?: true;
}

/** Nobody who has not the private keys may pass: what tools for attacks on tokens try, and more. */
export function forgeries(claims: Json): readonly Forged[] {
  const good = token(claims);
  const [head = '', body = '', mark = ''] = good.split('.');
  const h = { alg: 'RS256', kid: 'rsa', typ: 'JWT' };
  const pem = rsa.publicKey.export({ format: 'pem', type: 'spki' }) as string;
  const pkcs1 = rsa.publicKey.export({ format: 'pem', type: 'pkcs1' }) as string;
  const der = rsa.publicKey.export({ format: 'der', type: 'spki' });
  const hmac = (secret: string | Buffer, header: Json, hash = 'sha256') => {
    const text = `${base64(header)}.${base64(claims)}`;
    return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`;
  };
  const none = (alg: string, tail = '') => `${base64({ alg, typ: 'JWT' })}.${base64(claims)}.${tail}`;
  const own = stranger.publicKey.export({ format: 'jwk' });
  const foreign = (header: Json) => signed('RS256', { ...h, ...header }, claims, stranger.privateKey);
  const list: [string, string][] = [
    ...['none', 'None', 'NONE', 'nOnE', 'none ', ''].flatMap((alg): [string, string][] => [
      [`alg ${JSON.stringify(alg)}`, none(alg)],
      [`alg ${JSON.stringify(alg)} with a signature`, none(alg, mark)],
      [`alg ${JSON.stringify(alg)} with some bytes`, none(alg, 'AAAA')],
    ]),
    ['no alg', `${base64({ typ: 'JWT' })}.${body}.${mark}`],
    ['alg a number', `${base64({ alg: 1 })}.${body}.${mark}`],
    ['alg a list', `${base64({ alg: ['RS256'] })}.${body}.${mark}`],
    ['alg null', `${base64({ alg: null })}.${body}.${mark}`],
    ...[pem, pem.trimEnd(), pkcs1, pkcs1.trimEnd(), der, JSON.stringify(own), jwks(), ''].flatMap((secret, i) =>
      (['256', '384', '512'] as const).flatMap((bits): [string, string][] => [
        [`HMAC ${bits} with the public key, form ${i}`, hmac(secret, { ...h, alg: `HS${bits}` }, `sha${bits}`)],
        [`the same without kid, ${bits} ${i}`, hmac(secret, { alg: `HS${bits}` }, `sha${bits}`)],
      ]),
    ),
    ['HMAC that says RSA', hmac(pem, h)],
    ...['secret', 'password', 'key', 'rsa', '/dev/null', ' '].map((s): [string, string] => [
      `HMAC with ${JSON.stringify(s)}`,
      hmac(s, { alg: 'HS256', kid: 'rsa' }),
    ]),
    ...[
      '../../../../dev/null',
      '/dev/null',
      "' UNION SELECT 'x' --",
      '|sleep 9',
      'http://127.0.0.1:1/keys',
      '',
      'rsa\u0000',
      'RSA',
      '__proto__',
      'constructor',
    ].flatMap((kid): [string, string][] => [
      [`HMAC with nothing, kid ${JSON.stringify(kid)}`, hmac('', { alg: 'HS256', kid })],
      [`kid ${JSON.stringify(kid)}, signed by a stranger`, foreign({ kid })],
    ]),
    ['a stranger', foreign({})],
    ['a stranger with a key of its own within', foreign({ jwk: own })],
    ['jwk whose kid is ours', foreign({ jwk: { ...own, kid: 'rsa' } })],
    ['jku', foreign({ jku: 'http://127.0.0.1:1/jwks.json' })],
    ['jku as x5u', foreign({ x5u: 'http://127.0.0.1:1/cert.pem' })],
    ['x5c', foreign({ x5c: [der.toString('base64')] })],
    ['x5t', foreign({ x5t: 'AAAA', 'x5t#S256': 'AAAA' })],
    ['no signature', `${head}.${body}.`],
    ['two parts', `${head}.${body}`],
    ['four parts', `${good}.AAAA`],
    ['five parts', `${good}.AAAA.AAAA`],
    ['one byte', `${head}.${body}.AA`],
    ['zeroes', `${head}.${body}.${Buffer.alloc(256).toString('base64url')}`],
    ['ones', `${head}.${body}.${Buffer.alloc(256, 255).toString('base64url')}`],
    ['random', `${head}.${body}.${randomBytes(256).toString('base64url')}`],
    ['a signature cut', `${head}.${body}.${mark.slice(0, -4)}`],
    ['a signature with more', `${head}.${body}.${mark}AAAA`],
    [
      'ECDSA with r and s zero',
      `${base64({ alg: 'ES256', kid: 'ES256' })}.${body}.${Buffer.alloc(64).toString('base64url')}`,
    ],
    [
      'ECDSA with r and s one',
      `${base64({ alg: 'ES256', kid: 'ES256' })}.${body}.${Buffer.alloc(64, 1).toString('base64url')}`,
    ],
    ['ECDSA as DER', derSigned(claims)],
    ['EdDSA zero', `${base64({ alg: 'EdDSA', kid: 'EdDSA' })}.${body}.${Buffer.alloc(64).toString('base64url')}`],
    ['no payload', `${head}..${mark}`],
    ['no header', `.${body}.${mark}`],
    ['a header that is a list', `${base64('["RS256"]')}.${body}.${mark}`],
    ['a header that is text', `${base64('"RS256"')}.${body}.${mark}`],
    ['a header that is cut', `${base64('{"alg":"RS256"')}.${body}.${mark}`],
    ['claims of another token', `${head}.${base64({ ...claims, sub: 'admin' })}.${mark}`],
    ['claims with more', `${head}.${base64({ ...claims, admin: true })}.${mark}`],
    ['claims without exp', `${head}.${base64({ iss: claims['iss'], sub: claims['sub'] })}.${mark}`],
    ['the header of another', `${base64({ ...h, alg: 'RS512' })}.${body}.${mark}`],
    ['PSS for PKCS1', `${base64({ ...h, alg: 'PS256' })}.${body}.${mark}`],
    ['ES for RS', `${base64({ ...h, alg: 'ES256' })}.${body}.${mark}`],
    ['EdDSA for RS', `${base64({ ...h, alg: 'EdDSA' })}.${body}.${mark}`],
    ['a JWE', `${base64({ alg: 'dir', enc: 'A128GCM' })}..AAAA.AAAA.AAAA`],
    ['dots', '..'],
    ['Bearer twice', `Bearer ${none('none')}`],
    ['a deep claim', `${head}.${base64(`{"a":${'['.repeat(300)}${']'.repeat(300)}}`)}.${mark}`],
  ];
  return list.map(([name, text]) => ({ name, token: text }));
}

function derSigned(claims: Json): string {
  const text = `${base64({ alg: 'ES256', kid: 'ES256' })}.${base64(claims)}`;
  return `${text}.${signBytes('sha256', Buffer.from(text), pairs.ES256.privateKey).toString('base64url')}`;
}

/** What its own issuer signed and nobody may take (RFC 7515 4.1.11, 4; RFC 7519 4.1.4); Envoy does, where `lax`. */
export function unacceptable(claims: Json): readonly Forged[] {
  const h = { alg: 'RS256', kid: 'rsa' };
  return [
    { name: 'crit', token: signed('RS256', { ...h, crit: ['exp'] }, claims), lax: true },
    { name: 'crit and b64', token: signed('RS256', { ...h, crit: ['b64'], b64: false }, claims), lax: true },
    { name: 'RS that is ES', token: signed('ES256', { alg: 'RS256', kid: 'ES256' }, claims), lax: true },
    { name: 'exp 0', token: token({ ...claims, exp: 0 }), lax: true },
    {
      name: 'a claim twice',
      token: signed('RS256', h, JSON.stringify(claims).replace('{', '{"sub":"admin",')),
      lax: true,
    },
    { name: 'alg twice', token: signed('RS256', '{"alg":"none","alg":"RS256","kid":"rsa"}', claims), lax: true },
  ];
}
