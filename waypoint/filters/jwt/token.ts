/** A token in the compact form of RFC 7515, taken apart and not yet believed. */
import { type JsonObject, parseObject } from './json.ts';
import { type JwtStatus, statuses } from './status.ts';

export const algorithms = [
  'ES256',
  'ES384',
  'ES512',
  'HS256',
  'HS384',
  'HS512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'EdDSA',
] as const;
export type Algorithm = (typeof algorithms)[number];

export interface Token {
  readonly alg: Algorithm;
  /** Empty: none. */
  readonly kid: string;
  readonly header: JsonObject;
  readonly payload: JsonObject;
  /** Names extensions that whoever verifies has to understand (RFC 7515 4.1.11); there is none that we do. */
  readonly hasCritical: boolean;
  /** Empty: none. */
  readonly issuer: string;
  readonly subject: string;
  readonly audiences: readonly string[];
  /** Seconds since 1970. */
  readonly notBefore: number | undefined;
  readonly expires: number | undefined;
  /** As it came, in base64url. */
  readonly payloadText: string;
  readonly signed: string;
  readonly signature: Buffer;
}

export type Parsed =
  | { readonly kind: 'token'; readonly token: Token }
  | { readonly kind: 'bad'; readonly why: JwtStatus };

class Bad {
  readonly why: JwtStatus;

  constructor(why: JwtStatus) {
    this.why = why;
  }
}

export function parseToken(text: string): Parsed {
  try {
    return { kind: 'token', token: parse(text) };
  } catch (e) {
    if (e instanceof Bad) return { kind: 'bad', why: e.why };
    throw e;
  }
}

function parse(text: string): Token {
  const parts = text.split('.', 4);
  const [headerText = '', payloadText = '', signatureText = ''] = parts;
  if (parts.length !== 3 || headerText === '' || payloadText === '' || signatureText === '')
    throw new Bad(statuses.badFormat);
  const header = parseObject(decode(headerText, statuses.headerBase64));
  if (!header) throw new Bad(statuses.headerJson);
  const { alg, kid } = header;
  if (typeof alg !== 'string') throw new Bad(statuses.headerAlg);
  const known = algorithms.find((a) => a === alg);
  if (!known) throw new Bad(statuses.unknownAlg);
  if (kid !== undefined && typeof kid !== 'string') throw new Bad(statuses.headerKid);
  const payload = parseObject(decode(payloadText, statuses.payloadBase64));
  if (!payload) throw new Bad(statuses.payloadJson);
  const issuer = textOf(payload['iss'], statuses.iss);
  const subject = textOf(payload['sub'], statuses.sub);
  secondsOf(payload['iat'], statuses.iatType, statuses.iatRange);
  const notBefore = secondsOf(payload['nbf'], statuses.nbfType, statuses.nbfRange);
  const expires = secondsOf(payload['exp'], statuses.expType, statuses.expRange);
  textOf(payload['jti'], statuses.jti);
  const audiences = audiencesOf(payload['aud']);
  return {
    alg: known,
    kid: kid ?? '',
    header,
    payload,
    hasCritical: header['crit'] !== undefined,
    issuer,
    subject,
    audiences,
    notBefore,
    expires,
    payloadText,
    signed: text.slice(0, text.length - signatureText.length - 1),
    signature: decode(signatureText, statuses.signatureBase64),
  };
}

/** Without padding (RFC 7515 2). */
function decode(text: string, why: JwtStatus): Buffer {
  if (!/^[A-Za-z0-9_-]+$/.test(text) || text.length % 4 === 1) throw new Bad(why);
  return Buffer.from(text, 'base64url');
}

function textOf(value: unknown, why: JwtStatus): string {
  if (value === undefined) return '';
  if (typeof value !== 'string') throw new Bad(why);
  return value;
}

function secondsOf(value: unknown, type: JwtStatus, range: JwtStatus): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'number') throw new Bad(type);
  if (value < 0 || value >= 2 ** 64) throw new Bad(range);
  return Math.trunc(value);
}

function audiencesOf(value: unknown): readonly string[] {
  if (value === undefined) return [];
  if (typeof value === 'string') return [value];
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value;
  throw new Bad(statuses.aud);
}
