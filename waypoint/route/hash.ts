/** Hash policies: which values of a request choose its host, as Envoy computes them. */
import type { Fields } from '../../common/envoy/fields.ts';
import { xxHash64 } from '../cluster/hash/xxhash64.ts';
import { readSubstitution } from '../match/regex.ts';
import { type CookieAttributes, cookieOf, setCookie } from '../request/cookies.ts';
import type { RequestView } from '../request/view.ts';
import { queryOf } from './match.ts';
import type { HashSource, HashStep } from './types.ts';

export function readHashPolicy(fields: Fields): readonly HashStep[] {
  return fields.readAll('hash_policy', (f) => ({ ...readSource(f), terminal: f.flag('terminal') }));
}

function readSource(fields: Fields): HashSource {
  const which = fields.which('header', 'cookie', 'connection_properties', 'query_parameter', 'filter_state');
  switch (which) {
    case 'header':
      return fields.required(which, (f) => ({
        kind: 'header',
        name: f.text('header_name').toLowerCase(),
        rewrite: f.read('regex_rewrite', readSubstitution),
      }));
    case 'cookie':
      return fields.required(which, (f) => ({ kind: 'cookie', name: f.text('name'), make: readCookieMaker(f) }));
    case 'connection_properties':
      return fields.required(which, (f) => {
        if (!f.flag('source_ip')) throw f.refusal('source_ip', 'is the only property that there is, and not set');
        return { kind: 'source-ip' };
      });
    case 'query_parameter':
      return fields.required(which, (f) => ({ kind: 'query', name: f.text('name') }));
    case 'filter_state':
      return fields.required(which, (f) => ({ kind: 'filter-state', key: f.text('key') }));
    case undefined:
      throw fields.refusal('policy_specifier', 'is missing');
  }
}

function readCookieMaker(fields: Fields): CookieAttributes | undefined {
  const ttl = fields.duration('ttl');
  const path = fields.text('path');
  const attributes = fields.readAll('attributes', (a) => ({ name: a.text('name'), value: a.text('value') }));
  return ttl === undefined ? undefined : { maxAge: Math.floor(ttl / 1_000), path, attributes };
}

export interface HashResult {
  /** 64 bits; undefined: no policy had a value. */
  readonly hash: bigint | undefined;
  /** Values of set-cookie for the response. */
  readonly cookies: readonly string[];
}

const mask = (1n << 64n) - 1n;

/**
 * `hash64`: xxHash64 with seed 0 of a text's bytes. `freshCookie`: the value of a cookie that is made, which must be the same for
 * the same connection, as Envoy's is.
 */
export function hashRequest(
  steps: readonly HashStep[],
  view: RequestView,
  hash64: (text: string) => bigint,
  freshCookie: (name: string) => string,
): HashResult {
  let hash: bigint | undefined;
  const cookies: string[] = [];
  for (const step of steps) {
    const value = hashOf(step, view, hash64, (name, make) => {
      const fresh = freshCookie(name);
      cookies.push(setCookie(name, fresh, make));
      return fresh;
    });
    if (value === undefined) continue;
    const rotated = hash === undefined ? 0n : ((hash << 1n) & mask) | (hash >> 63n);
    hash = rotated ^ value;
    if (step.terminal) break;
  }
  return { hash, cookies };
}

function hashOf(
  step: HashStep,
  view: RequestView,
  hash64: (text: string) => bigint,
  make: (name: string, maker: CookieAttributes) => string,
): bigint | undefined {
  const ofText = (text: string | undefined) => (text === undefined || text === '' ? undefined : hash64(text));
  switch (step.kind) {
    case 'header': {
      const values = pseudo(view, step.name) ?? view.headers.getAll(step.name);
      if (values.length === 0) return undefined;
      const { rewrite } = step;
      const used = rewrite ? values.map(rewrite) : values;
      return hashInTurn([...used].sort());
    }
    case 'cookie': {
      const value = cookieOf(view.headers, step.name);
      if (value === undefined && step.make) return hash64(make(step.name, step.make));
      return value === undefined ? undefined : hash64(value);
    }
    case 'source-ip':
      return ofText(view.connection.remote.address);
    case 'query': {
      const value = queryOf(view.path).get(step.name);
      return value === undefined ? undefined : hash64(value);
    }
    case 'filter-state':
      return ofText(view.connection.filterState.get(step.key));
  }
}

/** Each value's hash is the seed of the next one's: of one value it is the hash of its text. */
function hashInTurn(values: readonly string[]): bigint {
  return values.reduce((seed, value) => xxHash64(Buffer.from(value, 'latin1'), seed), 0n);
}

function pseudo(view: RequestView, name: string): readonly string[] | undefined {
  if (name === ':authority' || name === 'host') return [view.authority];
  if (name === ':path') return [view.path];
  if (name === ':method') return [view.method];
  return undefined;
}
