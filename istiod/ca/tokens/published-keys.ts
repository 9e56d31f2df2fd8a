/** The keys that the API server signs tokens with, as it publishes them: kept, so that they are there when it is not. */
import type { JSONWebKeySet } from 'jose';
import { millis } from '../../../common/core/brand.ts';
import { type Clock, sleep } from '../../../common/core/clock.ts';
import { describeError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { isObject } from '../../../common/kube/schema/validate.ts';
import { Unauthenticated } from '../../caller.ts';
import type { Issuer } from './jwks.ts';

export interface PublishedKeysOptions {
  /** GET of a path of the API server, parsed. */
  readonly document: (path: string) => Promise<unknown>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

const refreshInterval = millis(300_000);
const retryInterval = millis(10_000);

/** Starts to ask; what it gives rejects with Unauthenticated until there was an answer. */
export function followPublishedKeys({ document, clock, log, signal }: PublishedKeysOptions): () => Promise<Issuer> {
  let known: Issuer | undefined;
  let failing = false;
  const follow = async (): Promise<void> => {
    while (!signal.aborted) {
      let ok = true;
      try {
        known = await read(document);
      } catch (e) {
        ok = false;
        if (!failing) log.warn('the keys that tokens are signed with cannot be read', { error: describeError(e) });
      }
      failing = !ok;
      await sleep(clock, ok ? refreshInterval : retryInterval, signal);
    }
  };
  void follow();
  return async () => {
    if (known === undefined)
      throw new Unauthenticated('the API server is away, and its keys for tokens were never read');
    return known;
  };
}

async function read(document: PublishedKeysOptions['document']): Promise<Issuer> {
  const configuration = await document('/.well-known/openid-configuration');
  const name = isObject(configuration) ? configuration['issuer'] : undefined;
  if (typeof name !== 'string' || name === '') throw new Error('/.well-known/openid-configuration names no issuer');
  const keys = await document('/openid/v1/jwks');
  if (!isObject(keys) || !Array.isArray(keys['keys'])) throw new Error('/openid/v1/jwks is no key set');
  return { name, keys: keys as unknown as JSONWebKeySet };
}
