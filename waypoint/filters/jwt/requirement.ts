/** envoy.extensions.filters.http.jwt_authn.v3.JwtRequirement: which tokens a request needs. Pure but for the headers that it is told to write. */
import type { Fields } from '../../../common/envoy/fields.ts';
import type { RequestView } from '../../request/view.ts';
import { verifyToken } from './keys.ts';
import { type Found, Locations, removeToken } from './locations.ts';
import { writeClaims } from './output.ts';
import { type Provider, plainAudience } from './provider.ts';
import { type JwtStatus, statuses } from './status.ts';
import { parseToken, type Token } from './token.ts';

export interface Judgement {
  readonly view: RequestView;
  /** Seconds since 1970. */
  readonly now: number;
  /** Dynamic metadata of the filter: what good tokens say. */
  readonly metadata: Record<string, unknown>;
  clearsRoute: boolean;
  count(name: string): void;
}

/** Whether the request has what is required. */
export type Requirement = (request: Judgement) => JwtStatus;

export function readRequirement(fields: Fields, providers: ReadonlyMap<string, Provider>): Requirement {
  return read(fields, providers, [...providers.values()]);
}

const kinds = [
  'provider_name',
  'provider_and_audiences',
  'requires_any',
  'requires_all',
  'allow_missing_or_failed',
  'allow_missing',
] as const;

/** `around`: providers whose tokens an allowance is about. */
function read(fields: Fields, providers: ReadonlyMap<string, Provider>, around: readonly Provider[]): Requirement {
  const named = (f: Fields, name: string): Provider => {
    const found = providers.get(f.text(name));
    if (!found) throw f.refusal(name, `there is no provider ${JSON.stringify(f.text(name))}`);
    return found;
  };
  const which = fields.which(...kinds);
  switch (which) {
    case 'provider_name':
      return authenticator([named(fields, which)], { of: named(fields, which), allows: 'nothing' });
    case 'provider_and_audiences':
      return fields.required(which, (f) => {
        const of = named(f, 'provider_name');
        return authenticator([of], { of, allows: 'nothing', audiences: f.texts('audiences').map(plainAudience) });
      });
    case 'requires_any':
      return fields.required(which, (f) => readAny(f, providers));
    case 'requires_all':
      return fields.required(which, (f) => {
        const all = readGroup(f, providers);
        return (request) => {
          for (const { requirement } of all) {
            const status = requirement(request);
            if (status !== statuses.ok) return status;
          }
          return statuses.ok;
        };
      });
    case 'allow_missing_or_failed':
      fields.read(which, () => undefined);
      return authenticator(around, { allows: 'failed' });
    case 'allow_missing':
      fields.read(which, () => undefined);
      return authenticator(around, { allows: 'missing' });
    case undefined:
      throw fields.refusal('requires_type', 'is missing');
  }
}

type Allowance = 'nothing' | 'missing' | 'failed';

interface Member {
  readonly kind: (typeof kinds)[number];
  readonly requirement: Requirement;
}

function readGroup(fields: Fields, providers: ReadonlyMap<string, Provider>): readonly Member[] {
  const all = [...providers.values()];
  const members = fields.readAll('requirements', (f) => ({
    kind: f.which(...kinds)!,
    requirement: read(f, providers, all),
  }));
  if (members.length < 2) throw fields.refusal('requirements', 'are fewer than two');
  return members;
}

/**
 * The first that is met. An allowance of missing tokens holds where nothing was found that any of the others looks at, one of failed
 * tokens always; it looks at no token itself.
 */
function readAny(fields: Fields, providers: ReadonlyMap<string, Provider>): Requirement {
  const members = readGroup(fields, providers);
  const has = (kind: Member['kind']) => members.some((member) => member.kind === kind);
  const [allowsFailed, allowsMissing] = [has('allow_missing_or_failed'), has('allow_missing')];
  const regular = members.filter(({ kind }) => kind !== 'allow_missing_or_failed' && kind !== 'allow_missing');
  return (request) => {
    let final: JwtStatus = statuses.missing;
    for (const { requirement } of regular) {
      const status = requirement(request);
      if (status === statuses.ok) return status;
      const tellsMore = status !== statuses.missing && status !== statuses.unknownIssuer;
      if (tellsMore || final === statuses.missing) final = status;
    }
    return allowsFailed || (allowsMissing && final === statuses.missing) ? statuses.ok : final;
  };
}

interface Asked {
  /** undefined: whose issuer the token names. */
  readonly of?: Provider;
  readonly allows: Allowance;
  /** Instead of the provider's. */
  readonly audiences?: readonly string[];
}

/** All tokens where these providers look have to be good: a service may use another one than the one that was verified. */
function authenticator(providers: readonly Provider[], asked: Asked): Requirement {
  const locations = new Locations(providers);
  return (request) => {
    locations.sanitise(request.view);
    const tokens = locations.find(request.view);
    let status: JwtStatus = statuses.missing;
    for (let i = tokens.length - 1; i >= 0; i--) {
      status = judge(tokens[i]!, providers, asked, request);
      if (status !== statuses.ok && asked.allows === 'nothing') return status;
    }
    if (asked.allows === 'failed') return statuses.ok;
    return asked.allows === 'missing' && status === statuses.missing ? statuses.ok : status;
  };
}

function judge({ text, at }: Found, providers: readonly Provider[], asked: Asked, request: Judgement): JwtStatus {
  const known = asked.of?.verified.get(text);
  let token: Token;
  if (known) {
    request.count('jwt_authn.jwt_cache_hit');
    token = known;
  } else {
    const parsed = parseToken(text);
    if (parsed.kind === 'bad') return parsed.why;
    token = parsed.token;
  }
  if (at.issuers && !at.issuers.has(token.issuer)) return statuses.unknownIssuer;
  const provider =
    asked.of ?? providers.find((p) => p.issuer === token.issuer) ?? providers.find((p) => p.issuer === '');
  if (!provider) return statuses.unknownIssuer;
  const now = request.now;
  if (token.notBefore !== undefined && token.notBefore > now + provider.skew) return statuses.notYetValid;
  if (token.expires !== undefined && now > token.expires + provider.skew) {
    if (known) provider.verified.delete(text);
    return statuses.expired;
  }
  const audiences = asked.audiences ?? provider.audiences;
  if (audiences.length > 0 && !token.audiences.some((a) => audiences.includes(plainAudience(a))))
    return statuses.audience;
  if (provider.subjects && !provider.subjects(token.subject)) return statuses.verification;
  if (isTooLong(token, provider, now)) return statuses.verification;
  if (!known) {
    const status = verifyToken(token, provider.keys);
    if (status !== statuses.ok) return status;
    if (asked.of) provider.verified.add(text, token);
  }
  accept(token, at, provider, request);
  return statuses.ok;
}

function isTooLong({ expires }: Token, { requiresExpiration, maxLifetime }: Provider, now: number): boolean {
  if (expires === undefined) return requiresExpiration || maxLifetime !== undefined;
  return maxLifetime !== undefined && expires - now > maxLifetime;
}

/** What a good token tells the service and whoever judges the request next. */
function accept(token: Token, at: Found['at'], provider: Provider, request: Judgement): void {
  const { view, metadata } = request;
  writeClaims(token, provider, view.headers);
  if (!provider.forwards) removeToken(view, at);
  if (provider.headerKey !== '') metadata[provider.headerKey] = token.header;
  if (provider.payloadKey !== '') metadata[provider.payloadKey] = withLists(token.payload, provider.listClaims);
  request.clearsRoute ||= provider.clearsRoute;
}

/** Claims that hold several words become lists of them. */
function withLists(payload: Token['payload'], claims: readonly string[]): Token['payload'] {
  const lists = claims.flatMap((name) => {
    const value = payload[name];
    return typeof value === 'string' ? [[name, value.split(' ').filter((word) => word !== '')] as const] : [];
  });
  return lists.length === 0 ? payload : { ...payload, ...Object.fromEntries(lists) };
}
