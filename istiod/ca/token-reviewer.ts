/** Projected service-account tokens, checked against the issuer's public keys. */
import { readFile } from 'node:fs/promises';
import { createLocalJWKSet, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import { tokenReviewKind } from '../../common/kube/schema/access.ts';
import { isObject } from '../../common/kube/schema/validate.ts';
import type { Kind, KubeObject, KubeSource } from '../../common/kube/types.ts';
import { type Caller, Unauthenticated } from '../caller.ts';

export interface TokenReviewer {
  /** Rejects with Unauthenticated, whose message is for the log only. */
  review(token: string): Promise<Caller>;
}

export interface JwksReviewerOptions {
  /** JSON Web Key Set (RFC 7517) of the issuer; read for each token, so that rotated keys count at once. */
  readonly file: string;
  /** Exact value of `iss`. */
  readonly issuer: string;
  readonly clock: Clock;
}

const audience = 'istio-ca';
/** Only signatures: with a shared secret, whoever can check a token can also make one. */
const algorithms = ['ES256', 'ES384', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];

export function createJwksReviewer({ file, issuer, clock }: JwksReviewerOptions): TokenReviewer {
  return {
    async review(token) {
      const keys = createLocalJWKSet(await readKeys(file));
      const payload = await jwtVerify(token, keys, {
        issuer,
        audience,
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

interface TokenReview extends KubeObject {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly error?: string;
    readonly audiences?: readonly string[];
    readonly user?: { readonly username?: string; readonly extra?: Readonly<Record<string, readonly string[]>> };
  };
}

/** Asks the API server, which also knows tokens of pods that are gone. One request for each token. */
export function createApiReviewer(source: Pick<KubeSource, 'create'>): TokenReviewer {
  return {
    async review(token) {
      const spec = { token, audiences: [audience] };
      const question = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: { name: '' }, spec };
      const { status = {} } = await source
        .create(tokenReviewKind as Kind<TokenReview>, question)
        .catch((e: unknown) => {
          throw new Unauthenticated(`the API server cannot review a token: ${describeError(e)}`);
        });
      if (status.authenticated !== true) throw new Unauthenticated(`token refused: ${status.error ?? 'unknown'}`);
      if (status.audiences?.includes(audience) !== true)
        throw new Unauthenticated(`the API server does not say that the token is for ${audience}`);
      const { username = '', extra = {} } = status.user ?? {};
      const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(username) ?? [];
      if (namespace === undefined || serviceAccount === undefined)
        throw new Unauthenticated(`token is of ${username}, which is no service account`);
      const [name] = extra['authentication.kubernetes.io/pod-name'] ?? [];
      const [uid] = extra['authentication.kubernetes.io/pod-uid'] ?? [];
      if (name === undefined || uid === undefined) throw new Unauthenticated('token is not bound to a pod');
      return { namespace, serviceAccount, pod: { name, uid } };
    },
  };
}

/** Refuses every token: what istiod uses without a key set. */
export const noTokens: TokenReviewer = {
  review: () => Promise.reject(new Unauthenticated('no token is accepted, because AQUIFER_JWKS is not set')),
};

async function readKeys(file: string): Promise<JSONWebKeySet> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as JSONWebKeySet;
  } catch (e) {
    throw new Unauthenticated(`the key set ${file} (AQUIFER_JWKS) cannot be read: ${describeError(e)}`);
  }
}

/** The claims that Kubernetes puts into a token bound to a pod. */
function callerOf(payload: JWTPayload): Caller {
  const claims = payload['kubernetes.io'];
  if (!isObject(claims)) throw new Unauthenticated('token has no kubernetes.io claims');
  const { namespace, serviceaccount, pod } = claims;
  if (typeof namespace !== 'string' || !isObject(serviceaccount) || typeof serviceaccount['name'] !== 'string') {
    throw new Unauthenticated('token names no namespace or service account');
  }
  const serviceAccount = serviceaccount['name'];
  const subject = `system:serviceaccount:${namespace}:${serviceAccount}`;
  if (payload.sub !== subject)
    throw new Unauthenticated(`token's subject is ${payload.sub}, its claims say ${subject}`);
  if (!isObject(pod) || typeof pod['name'] !== 'string' || typeof pod['uid'] !== 'string') {
    throw new Unauthenticated('token is not bound to a pod');
  }
  return { namespace, serviceAccount, pod: { name: pod['name'], uid: pod['uid'] } };
}
