/** Makes tokens, and says whom one that is shown belongs to. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { JWTPayload } from 'jose';
import type { Clock } from '../../../common/core/clock.ts';
import { assertNever, describeError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { nodeKind, podKind, secretKind, serviceAccountKind } from '../../../common/kube/kinds/core.ts';
import { kindName } from '../../../common/kube/names.ts';
import type { Kind } from '../../../common/kube/types.ts';
import type { User } from '../authn/authenticator.ts';
import { type ApiObject, fromJson } from '../objects.ts';
import type { Store } from '../storage/types.ts';
import { issuer, type Ref, readClaims, secretIssuer, type TokenClaims, userOf } from './claims.ts';
import { algorithm, type SigningKey } from './signing-key.ts';

export type TokenVerdict =
  | { readonly kind: 'user'; readonly user: User; readonly audiences: readonly string[] }
  /** Not a token of ours: another authenticator may know it. */
  | { readonly kind: 'foreign' }
  | { readonly kind: 'refused'; readonly reason: string };

export interface Tokens {
  sign(payload: JWTPayload): Promise<string>;
  /** `audiences`: one of them must be the token's; the verdict has those that are. */
  verify(token: string, audiences: readonly string[]): Promise<TokenVerdict>;
}

export interface TokensOptions {
  readonly key: SigningKey;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Loaded with the first token: it is some 50 ms of the start. */
let library: Promise<typeof import('jose')> | undefined;
function jose(): Promise<typeof import('jose')> {
  library ??= import('jose');
  return library;
}

/** Signatures that were checked already; times and objects are looked at each time. */
const remembered = 4096;
/** Ms that a token outlives the end of an object that is being deleted: its pods' last requests. */
const leeway = 60_000;

export function createTokens({ key, store, clock, log }: TokensOptions): Tokens {
  const known = new Map<string, TokenClaims>();
  const expiries = new WeakMap<TokenClaims, number>();

  const claimsOf = async (token: string, legacy: boolean): Promise<TokenClaims | string> => {
    const found = known.get(token);
    if (found !== undefined) {
      const expires = expiries.get(found);
      return expires !== undefined && expires * 1000 <= clock.wall() ? 'the token is expired' : found;
    }
    let payload: JWTPayload;
    try {
      const options = { issuer: legacy ? secretIssuer : issuer, algorithms: [algorithm] };
      const requiredClaims = legacy ? ['sub'] : ['sub', 'aud', 'exp', 'nbf', 'iat'];
      const currentDate = new Date(clock.wall());
      const { createLocalJWKSet, jwtVerify } = await jose();
      const keys = createLocalJWKSet({ keys: [key.publicJwk] });
      ({ payload } = await jwtVerify(token, keys, { ...options, requiredClaims, currentDate }));
    } catch (e) {
      return describeError(e);
    }
    const claims = readClaims(payload);
    if (claims === undefined) return 'its claims are not those of a service account';
    if (known.size >= remembered) known.delete(known.keys().next().value!);
    known.set(token, claims);
    if (payload.exp !== undefined) expiries.set(claims, payload.exp);
    return claims;
  };

  /** Why the object cannot vouch for a token any more. */
  const missing = (kind: Kind, namespace: string, { name, uid }: Ref): string | undefined => {
    const object = read(store, kind, namespace, name);
    const what = `${kind.kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
    if (object === undefined) return `${what} does not exist`;
    if (object.metadata.uid !== uid) return `${what} is another one than the token was made for`;
    const deleted = object.metadata.deletionTimestamp;
    if (deleted !== undefined && Date.parse(deleted) + leeway < clock.wall()) return `${what} is being deleted`;
    return undefined;
  };

  const refusalOf = (token: string, claims: TokenClaims): string | undefined => {
    switch (claims.kind) {
      case 'bound': {
        const { namespace, serviceAccount, pod, secret, node } = claims.subject;
        return (
          missing(serviceAccountKind, namespace, serviceAccount) ??
          (pod === undefined ? undefined : missing(podKind, namespace, pod)) ??
          (secret === undefined ? undefined : missing(secretKind, namespace, secret)) ??
          // A pod's token names its node for information only.
          (node === undefined || pod !== undefined ? undefined : missing(nodeKind, '', node))
        );
      }
      case 'secret': {
        const { namespace, serviceAccount, secretName } = claims;
        const secret = read(store, secretKind, namespace, secretName);
        if (secret === undefined || secret.metadata.deletionTimestamp !== undefined)
          return `Secret ${namespace}/${secretName} does not exist`;
        const held = (secret['data'] as Readonly<Record<string, string>> | undefined)?.['token'] ?? '';
        if (!same(Buffer.from(held, 'base64').toString(), token))
          return `Secret ${namespace}/${secretName} holds another token`;
        return missing(serviceAccountKind, namespace, serviceAccount);
      }
      default:
        return assertNever(claims);
    }
  };

  return {
    async sign(payload) {
      const { SignJWT } = await jose();
      return new SignJWT(payload).setProtectedHeader({ alg: algorithm, kid: key.id }).sign(key.privateKey);
    },

    async verify(token, audiences) {
      const claimed = await issuerOf(token);
      if (claimed !== issuer && claimed !== secretIssuer) return { kind: 'foreign' };
      const claims = await claimsOf(token, claimed === secretIssuer);
      if (typeof claims === 'string') return { kind: 'refused', reason: claims };
      const own = claims.kind === 'bound' ? claims.audiences : [issuer];
      const common = own.filter((a) => audiences.includes(a));
      if (common.length === 0) {
        const [has, wanted] = [JSON.stringify(own), JSON.stringify(audiences)];
        return { kind: 'refused', reason: `token audiences ${has} is invalid for the target audiences ${wanted}` };
      }
      const reason = refusalOf(token, claims);
      if (reason !== undefined) return { kind: 'refused', reason };
      const user = userOf(claims);
      if (claims.kind === 'bound' && claims.warnAfter !== undefined && claims.warnAfter * 1000 < clock.wall())
        log.warn('a token is used that its pod should have renewed', { user: user.name });
      return { kind: 'user', user, audiences: common };
    },
  };
}

function read(store: Store, kind: Kind, namespace: string, name: string): ApiObject | undefined {
  const stored = store.get({ resource: kindName(kind), namespace, name });
  return stored === undefined ? undefined : fromJson(stored.json);
}

async function issuerOf(token: string): Promise<string | undefined> {
  const { decodeJwt } = await jose();
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

function same(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
