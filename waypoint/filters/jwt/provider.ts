/** envoy.extensions.filters.http.jwt_authn.v3.JwtProvider: an issuer of tokens, its keys, and what becomes of its claims. */
import type { Fields } from '../../../common/envoy/fields.ts';
import { readString, type StringTest } from '../../match/string.ts';
import { type Keys, parseKeys } from './keys.ts';
import type { Location } from './locations.ts';
import type { Token } from './token.ts';

export interface Provider {
  readonly name: string;
  /** Empty: any. */
  readonly issuer: string;
  /** Empty: any. */
  readonly audiences: readonly string[];
  readonly subjects: StringTest | undefined;
  readonly requiresExpiration: boolean;
  /** Seconds; undefined: any. */
  readonly maxLifetime: number | undefined;
  /** At least one. */
  readonly keys: Keys;
  readonly forwards: boolean;
  readonly locations: readonly Location[];
  /** Lower case; empty: none. */
  readonly payloadHeader: string;
  readonly padsPayload: boolean;
  readonly claimHeaders: readonly { readonly header: string; readonly claim: string }[];
  /** Keys of dynamic metadata; empty: none. */
  readonly payloadKey: string;
  readonly headerKey: string;
  readonly failureKey: string;
  readonly listClaims: readonly string[];
  /** Seconds that a clock may be wrong by. */
  readonly skew: number;
  readonly clearsRoute: boolean;
  readonly verified: VerifiedTokens;
}

/** As Envoy's. */
const defaultSkew = 60;

export function readProvider(name: string, fields: Fields): Provider {
  // Verified tokens are always kept.
  fields.harmless('jwt_cache_config');
  const locations: readonly Location[] = [
    ...fields.readAll('from_headers', (f) => ({
      kind: 'header' as const,
      name: f.text('name').toLowerCase(),
      prefix: f.text('value_prefix'),
    })),
    ...fields.texts('from_params').map((n) => ({ kind: 'parameter' as const, name: n, prefix: '' })),
    ...fields.texts('from_cookies').map((n) => ({ kind: 'cookie' as const, name: n, prefix: '' })),
  ];
  const lifetime = fields.duration('max_lifetime');
  return {
    name,
    issuer: fields.text('issuer'),
    audiences: fields.texts('audiences').map(plainAudience),
    subjects: fields.read('subjects', readString),
    requiresExpiration: fields.flag('require_expiration'),
    maxLifetime: lifetime === undefined ? undefined : lifetime / 1_000,
    keys: readKeys(fields),
    forwards: fields.flag('forward'),
    locations: locations.length > 0 ? locations : defaultLocations,
    payloadHeader: fields.text('forward_payload_header').toLowerCase(),
    padsPayload: fields.flag('pad_forward_payload_header'),
    claimHeaders: fields.readAll('claim_to_headers', (f) => ({
      header: f.text('header_name').toLowerCase(),
      claim: f.text('claim_name'),
    })),
    payloadKey: fields.text('payload_in_metadata'),
    headerKey: fields.text('header_in_metadata'),
    failureKey: fields.text('failed_status_in_metadata'),
    listClaims: fields.read('normalize_payload_in_metadata', (f) => f.texts('space_delimited_claims')) ?? [],
    skew: fields.number('clock_skew_seconds') || defaultSkew,
    clearsRoute: fields.flag('clear_route_cache'),
    verified: new VerifiedTokens(),
  };
}

const defaultLocations: readonly Location[] = [
  { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
  { kind: 'parameter', name: 'access_token', prefix: '' },
];

function readKeys(fields: Fields): Keys {
  const which = fields.which('remote_jwks', 'local_jwks');
  if (which === undefined) throw fields.refusal('jwks_source_specifier', 'is missing');
  if (which === 'remote_jwks') throw fields.unsupported(which);
  return fields.required(which, (f) => {
    const source = f.which('inline_string', 'inline_bytes');
    if (source === undefined) {
      f.mistake('specifier', 'is neither inline_string nor inline_bytes');
      return [];
    }
    const keys = parseKeys(source === 'inline_string' ? f.text(source) : f.bytes(source).toString('utf8'));
    if (!keys || keys.length === 0) throw f.refusal(source, 'holds no key that can be used');
    return keys;
  });
}

/** One audience in several spellings: with a scheme, and with a slash at its end. */
export function plainAudience(text: string): string {
  return text.replace(/^https?:\/\//, '').replace(/\/$/, '');
}

/** Tokens whose signature was found good, each until it expires; the configuration that holds them has the keys, too. */
export class VerifiedTokens {
  readonly #tokens = new Map<string, Token>();
  #bytes = 0;

  get(text: string): Token | undefined {
    return this.#tokens.get(text);
  }

  add(text: string, token: Token): void {
    if (text.length > longest || this.#tokens.has(text)) return;
    this.#tokens.set(text, token);
    this.#bytes += text.length;
    for (const [old] of this.#tokens) {
      if (this.#bytes <= mostBytes && this.#tokens.size <= mostTokens) return;
      this.delete(old);
    }
  }

  delete(text: string): void {
    if (this.#tokens.delete(text)) this.#bytes -= text.length;
  }
}

/** Of one issuer: what is beyond goes, the oldest first, and is verified again when it comes again. */
const mostTokens = 1_000;
const mostBytes = 2_097_152;
const longest = 8_192;
