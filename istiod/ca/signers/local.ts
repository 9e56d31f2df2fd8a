/** Signs with a key of this process. Which one, and what is trusted besides its root, may change at any time. */
import { KeyObject, webcrypto } from 'node:crypto';
import type { Clock } from '../../../common/core/clock.ts';
import { signServing, signWorkload } from '../authority.ts';
import type { Issuer } from '../issuer.ts';
import type { TrustedRoot } from '../trust.ts';
import type { Signer } from './signer.ts';

export interface Issuing {
  readonly issuer: Issuer;
  /** The issuer's own among them. */
  readonly roots: readonly TrustedRoot[];
}

/** Where the key comes from: a root of our own, or what an operator plugged in. */
export interface IssuingSource {
  current(): Issuing;
  /** Why nothing may be signed now; undefined: it may. */
  refusal(): string | undefined;
  onChange(listener: () => void): void;
}

/** One issuer for good. */
export function unchanging(issuing: Issuing): IssuingSource {
  return { current: () => issuing, refusal: () => undefined, onChange: () => undefined };
}

export function createLocalSigner(source: IssuingSource, clock: Clock): Signer {
  return {
    async sign({ key, identity, ttlMs }) {
      const refusal = source.refusal();
      if (refusal !== undefined) throw new Error(refusal);
      const { issuer, roots } = source.current();
      const leaf = await signWorkload(issuer, key, identity, ttlMs, clock);
      return { chain: [leaf, ...issuer.chain], roots, under: issuer.root.id };
    },
    async serving({ dns, ips, ttlMs }) {
      const { issuer } = source.current();
      const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
      const leaf = await signServing(issuer, keys.publicKey, dns, ips, ttlMs, clock);
      const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string;
      // The root too, as Istio's: a client that trusts a hash of it finds it here.
      return { key, chain: [leaf, ...issuer.chain, issuer.root.pem].join('') };
    },
    roots: () => source.current().roots,
    expiry: () => source.current().issuer.notAfter,
    onChange: (listener) => source.onChange(listener),
  };
}
