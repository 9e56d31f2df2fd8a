/** Tokens checked against the issuer's public keys, without asking anybody. */
import { readFile } from 'node:fs/promises';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import type { Clock } from '../../../common/core/clock.ts';
import { describeError } from '../../../common/core/errors.ts';
import { Unauthenticated } from '../../caller.ts';
import { callerOf, type TokenReviewer } from './reviewer.ts';

export interface Issuer {
  /** Exact value of `iss`. */
  readonly name: string;
  /** RFC 7517. */
  readonly keys: JSONWebKeySet;
}

export interface JwksReviewerOptions {
  /** Asked for each token, so that rotated keys count at once; rejects with Unauthenticated. */
  readonly issuer: () => Promise<Issuer>;
  readonly audiences: readonly string[];
  readonly clock: Clock;
}

/** Only signatures: with a shared secret, whoever can check a token can also make one. */
const algorithms = ['ES256', 'ES384', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];

export function createJwksReviewer({ issuer, audiences, clock }: JwksReviewerOptions): TokenReviewer {
  return {
    async review(token) {
      const { name, keys } = await issuer();
      const payload = await jwtVerify(token, createLocalJWKSet(keys), {
        issuer: name,
        audience: [...audiences],
        algorithms,
        currentDate: new Date(clock.wall()),
        requiredClaims: ['exp', 'sub'],
      }).then(
        (verified) => verified.payload,
        (e: unknown) => {
          throw new Unauthenticated(`token refused: ${describeError(e)}`);
        },
      );
      return callerOf(payload);
    },
  };
}

/** The key set in a file (AQUIFER_JWKS). */
export function issuerInFile(file: string, name: string): () => Promise<Issuer> {
  return async () => {
    try {
      return { name, keys: JSON.parse(await readFile(file, 'utf8')) as JSONWebKeySet };
    } catch (e) {
      throw new Unauthenticated(`the key set ${file} (AQUIFER_JWKS) cannot be read: ${describeError(e)}`);
    }
  };
}
