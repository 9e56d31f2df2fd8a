/**
 * Filter modules of users: found where an object names them, checked against the hash that it gives, and made plain JavaScript, once for
 * all waypoints. What is pinned by its hash is fetched once; who does not answer is asked again with a delay that doubles.
 */
import { createHash } from 'node:crypto';
import { stripTypeScriptTypes } from 'node:module';
import { millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Looked } from '../envoy/credentials.ts';

/** Where a module is. `sha256` of its file in lower-case hex; empty: any, which only a ConfigMap may be. */
export type ModuleSource =
  | { readonly kind: 'https'; readonly url: string; readonly sha256: string }
  | {
      readonly kind: 'config-map';
      readonly namespace: string;
      readonly name: string;
      readonly key: string;
      readonly sha256: string;
    };

/** `problem`: why there is no code. */
export type FoundModule =
  | { readonly kind: 'code'; readonly code: string; readonly sha256: string }
  | { readonly kind: 'none'; readonly problem: string };

export interface ModuleResolverOptions {
  readonly fetch: (url: string, timeout: number) => Promise<string>;
  /** Text of a key; value undefined: it is not there. */
  readonly configMap: (namespace: string, name: string) => Looked<ReadonlyMap<string, string> | undefined>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** What is found is something else now. */
  readonly onChange: (lookup: string) => void;
}

/** Bytes of a file, as waypoints take them (waypoint/filters/script/limits.ts). */
export const largestModule = 262_144;
const timeout = 10_000;
const firstDelay = 1_000;
const longestDelay = 60_000;
/** Files whose fetches are remembered: those that no object names any more go as others come. */
const mostFetched = 256;

export function lookupOfModule(source: ModuleSource): string {
  return source.kind === 'https'
    ? `module ${source.url} ${source.sha256}`
    : `config map ${source.namespace}/${source.name}`;
}

export class ModuleResolver {
  readonly #o: ModuleResolverOptions;
  readonly #fetched = new Map<string, FoundModule | undefined>();

  constructor(options: ModuleResolverOptions) {
    this.#o = options;
  }

  module(source: ModuleSource): Looked<FoundModule> {
    if (source.kind === 'config-map') return this.#inConfigMap(source);
    const lookup = lookupOfModule(source);
    if (!this.#fetched.has(lookup)) {
      if (this.#fetched.size >= mostFetched) this.#fetched.delete(this.#fetched.keys().next().value!);
      this.#fetched.set(lookup, undefined);
      void this.#fetch(source, lookup, firstDelay);
    }
    const value = this.#fetched.get(lookup);
    return value === undefined ? { kind: 'pending' } : { kind: 'found', value };
  }

  #inConfigMap(source: ModuleSource & { readonly kind: 'config-map' }): Looked<FoundModule> {
    const { namespace, name, key, sha256 } = source;
    const looked = this.#o.configMap(namespace, name);
    if (looked.kind === 'pending') return looked;
    const text = looked.value?.get(key);
    if (text !== undefined) return { kind: 'found', value: codeOf(text, key, sha256) };
    const problem = looked.value
      ? `ConfigMap ${namespace}/${name} has no key ${key}`
      : `there is no ConfigMap ${namespace}/${name}, or istiod may not read it`;
    return { kind: 'found', value: { kind: 'none', problem } };
  }

  async #fetch(source: ModuleSource & { readonly kind: 'https' }, lookup: string, delay: number): Promise<void> {
    const { fetch, clock, log, signal, onChange } = this.#o;
    let found: FoundModule;
    try {
      found = codeOf(await fetch(source.url, timeout), new URL(source.url).pathname, source.sha256);
    } catch (e) {
      found = { kind: 'none', problem: describeError(e) };
    }
    if (signal.aborted || !this.#fetched.has(lookup)) return;
    const before = this.#fetched.get(lookup);
    this.#fetched.set(lookup, found);
    if (
      before === undefined ||
      before.kind !== found.kind ||
      (before.kind === 'none' && found.kind === 'none' && before.problem !== found.problem)
    )
      onChange(lookup);
    if (found.kind === 'code') return;
    log.warn('a filter module cannot be had', { url: source.url, error: found.problem });
    clock.after(millis(delay), () => {
      if (!signal.aborted && this.#fetched.has(lookup))
        void this.#fetch(source, lookup, Math.min(delay * 2, longestDelay));
    });
  }
}

/** Checked and without types. */
export function codeOf(text: string, name: string, sha256: string): FoundModule {
  const none = (problem: string): FoundModule => ({ kind: 'none', problem });
  if (Buffer.byteLength(text) > largestModule) return none(`the module is longer than ${largestModule} bytes`);
  const hash = createHash('sha256').update(text).digest('hex');
  if (sha256 !== '' && hash !== sha256) return none(`its sha256 is ${hash}, not the one that the object names`);
  try {
    return { kind: 'code', code: stripTypeScriptTypes(text, { mode: 'strip' }), sha256: hash };
  } catch (e) {
    return none(`${name} is no TypeScript that runs without a compiler: ${describeError(e).split('\n')[0]}`);
  }
}

/** For an istiod that fetches nothing. */
export const noModules = (): FoundModule => ({ kind: 'none', problem: 'modules are fetched by istiod alone' });
