/**
 * Keys of issuers: fetched once for all proxies, kept, fetched again now and then. Whoever does not answer is asked again with a delay
 * that doubles; until then the last keys hold, for a week, and where there are none no token is good.
 */
import { millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Looked } from '../envoy/credentials.ts';
import { usableKeys } from './key-set.ts';

/** Whose keys. An empty `uri`: the issuer tells it by OpenID Connect Discovery 1.0. */
export interface KeySource {
  readonly issuer: string;
  readonly uri: string;
  /** Ms. */
  readonly timeout: number;
}

/** `problem`: why there are none, or none newer. */
export interface FoundKeys {
  readonly keys: string | undefined;
  readonly problem: string | undefined;
}

export interface KeyResolverOptions {
  readonly fetch: (uri: string, timeout: number) => Promise<string>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Ms between two fetches that succeed. */
  readonly refresh: number;
  /** Whether an object still names it. */
  readonly isWanted: (lookup: string) => boolean;
  /** What is found is something else now. */
  readonly onChange: (lookup: string, found: FoundKeys) => void;
}

interface Entry {
  readonly source: KeySource;
  found: FoundKeys | undefined;
  /** Of the last success, in ms of the clock. */
  fetched: number;
  /** Ms that the last failure was waited after. */
  delay: number;
}

const firstDelay = 1_000;
const longestDelay = 60_000;
/** Ms that keys hold without news. */
const life = 7 * 24 * 3_600_000;

export function lookupOf({ issuer, uri }: Pick<KeySource, 'issuer' | 'uri'>): string {
  return `keys ${JSON.stringify([issuer, uri])}`;
}

export class KeyResolver {
  readonly #o: KeyResolverOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: KeyResolverOptions) {
    this.#o = options;
  }

  keys(source: KeySource): Looked<FoundKeys> {
    const lookup = lookupOf(source);
    let entry = this.#entries.get(lookup);
    if (!entry) {
      entry = { source, found: undefined, fetched: 0, delay: 0 };
      this.#entries.set(lookup, entry);
      void this.#fetch(lookup, entry);
    }
    return entry.found ? { kind: 'found', value: entry.found } : { kind: 'pending' };
  }

  async #fetch(lookup: string, entry: Entry): Promise<void> {
    const { clock, log, signal, refresh, onChange } = this.#o;
    let keys: string | undefined;
    let problem: string | undefined;
    try {
      keys = await this.#ask(entry.source);
    } catch (e) {
      problem = describeError(e);
    }
    if (signal.aborted) return;
    const now = clock.now();
    let wait = refresh;
    if (keys === undefined) {
      log.warn('keys of an issuer cannot be fetched', { issuer: entry.source.issuer, error: problem ?? '' });
      wait = entry.delay = entry.delay === 0 ? firstDelay : Math.min(entry.delay * 2, longestDelay);
      if (entry.found?.keys !== undefined && now - entry.fetched < life) keys = entry.found.keys;
    } else {
      entry.fetched = now;
      entry.delay = 0;
    }
    const before = entry.found;
    entry.found = { keys, problem };
    if (before === undefined || before.keys !== keys || before.problem !== problem) onChange(lookup, entry.found);
    clock.after(millis(wait), () => {
      if (signal.aborted) return;
      if (this.#o.isWanted(lookup)) void this.#fetch(lookup, entry);
      else this.#entries.delete(lookup);
    });
  }

  async #ask({ issuer, uri, timeout }: KeySource): Promise<string> {
    const { fetch } = this.#o;
    const from = uri === '' ? await this.#discover(issuer, timeout) : uri;
    const keys = usableKeys(await fetch(from, timeout), false);
    if (keys === undefined) throw new MeshError('CONNECT_FAILED', `${from} answers with no key that can be used`);
    return keys;
  }

  async #discover(issuer: string, timeout: number): Promise<string> {
    if (!/^https?:\/\//.test(issuer)) {
      throw new MeshError(
        'CONFIG',
        `issuer ${JSON.stringify(issuer)} is no URL that could tell its keys: set jwksUri or jwks`,
      );
    }
    const at = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const text = await this.#o.fetch(at, timeout);
    let uri: unknown;
    try {
      uri = (JSON.parse(text) as { readonly jwks_uri?: unknown }).jwks_uri;
    } catch {
      uri = undefined;
    }
    if (typeof uri !== 'string') throw new MeshError('CONNECT_FAILED', `${at} names no jwks_uri`);
    return uri;
  }
}
