/**
 * What service-account tokens say, in Kubernetes' words. Two forms: bound tokens, which expire and may hang on an object, and
 * the older ones that lie in Secrets and hang on those. Pure.
 */
import type { JWTPayload } from 'jose';
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { User } from '../authn/authenticator.ts';
import { groupsOf, userName } from '../authn/service-account-names.ts';

/** The name of this issuer in tokens, and the audience of tokens for the API server itself. */
export const issuer = 'https://kubernetes.default.svc.cluster.local';
export const secretIssuer = 'kubernetes/serviceaccount';

export interface Ref {
  readonly name: string;
  readonly uid: string;
}

export interface BoundSubject {
  readonly namespace: string;
  readonly serviceAccount: Ref;
  readonly pod?: Ref;
  readonly secret?: Ref;
  /** Of the pod, or what the token is bound to itself. */
  readonly node?: Ref;
}

export type TokenClaims =
  | {
      readonly kind: 'bound';
      readonly subject: BoundSubject;
      readonly audiences: readonly string[];
      /** Seconds since the epoch. */
      readonly warnAfter: number | undefined;
      readonly id: string | undefined;
    }
  | {
      readonly kind: 'secret';
      readonly namespace: string;
      readonly serviceAccount: Ref;
      readonly secretName: string;
    };

export interface BoundOptions {
  readonly subject: BoundSubject;
  readonly audiences: readonly string[];
  /** Seconds since the epoch. */
  readonly now: number;
  readonly expires: number;
  readonly warnAfter: number | undefined;
  readonly id: string;
}

export function boundPayload({ subject, audiences, now, expires, warnAfter, id }: BoundOptions): JWTPayload {
  const { namespace, serviceAccount, pod, secret, node } = subject;
  return {
    iss: issuer,
    sub: userName(namespace, serviceAccount.name),
    aud: [...audiences],
    iat: now,
    nbf: now,
    exp: expires,
    jti: id,
    'kubernetes.io': {
      namespace,
      serviceaccount: serviceAccount,
      ...(pod === undefined ? {} : { pod }),
      ...(secret === undefined ? {} : { secret }),
      ...(node === undefined ? {} : { node }),
      ...(warnAfter === undefined ? {} : { warnafter: warnAfter }),
    },
  };
}

const prefix = 'kubernetes.io/serviceaccount/';

export function secretPayload(namespace: string, serviceAccount: Ref, secretName: string): JWTPayload {
  return {
    iss: secretIssuer,
    sub: userName(namespace, serviceAccount.name),
    [`${prefix}namespace`]: namespace,
    [`${prefix}secret.name`]: secretName,
    [`${prefix}service-account.name`]: serviceAccount.name,
    [`${prefix}service-account.uid`]: serviceAccount.uid,
  };
}

/** undefined: the payload, although it was signed, is not one of ours. */
export function readClaims(payload: JWTPayload): TokenClaims | undefined {
  const claims = payload.iss === secretIssuer ? secretClaims(payload) : boundClaims(payload);
  if (claims === undefined) return undefined;
  const { namespace, serviceAccount } = claims.kind === 'bound' ? claims.subject : claims;
  return payload.sub === userName(namespace, serviceAccount.name) ? claims : undefined;
}

function boundClaims(payload: JWTPayload): TokenClaims | undefined {
  const own = payload['kubernetes.io'];
  if (payload.iss !== issuer || !isObject(own) || typeof own['namespace'] !== 'string') return undefined;
  const refs: Partial<Record<'serviceaccount' | 'pod' | 'secret' | 'node', Ref>> = {};
  for (const kind of ['serviceaccount', 'pod', 'secret', 'node'] as const) {
    if (own[kind] === undefined) continue;
    const ref = refOf(own[kind]);
    if (ref === undefined) return undefined;
    refs[kind] = ref;
  }
  const { serviceaccount, ...bound } = refs;
  const { aud, jti } = payload;
  if (serviceaccount === undefined || aud === undefined) return undefined;
  return {
    kind: 'bound',
    subject: { namespace: own['namespace'], serviceAccount: serviceaccount, ...bound },
    audiences: Array.isArray(aud) ? aud : [aud],
    warnAfter: typeof own['warnafter'] === 'number' ? own['warnafter'] : undefined,
    id: jti,
  };
}

function secretClaims(payload: JWTPayload): TokenClaims | undefined {
  const text = (name: string): string => {
    const value = payload[`${prefix}${name}`];
    return typeof value === 'string' ? value : '';
  };
  const [namespace, secretName] = [text('namespace'), text('secret.name')];
  const serviceAccount = { name: text('service-account.name'), uid: text('service-account.uid') };
  if ([namespace, secretName, serviceAccount.name, serviceAccount.uid].includes('')) return undefined;
  return { kind: 'secret', namespace, serviceAccount, secretName };
}

function refOf(value: unknown): Ref | undefined {
  if (!isObject(value)) return undefined;
  const { name, uid } = value;
  return typeof name === 'string' && name !== '' && typeof uid === 'string' && uid !== '' ? { name, uid } : undefined;
}

export function userOf(claims: TokenClaims): User {
  const { namespace, serviceAccount } = claims.kind === 'bound' ? claims.subject : claims;
  const extra: Record<string, readonly string[]> = {};
  const tell = (name: string, value: string | undefined) => {
    if (value !== undefined) extra[`authentication.kubernetes.io/${name}`] = [value];
  };
  if (claims.kind === 'bound') {
    const { pod, node } = claims.subject;
    tell('credential-id', claims.id === undefined ? undefined : `JTI=${claims.id}`);
    tell('pod-name', pod?.name);
    tell('pod-uid', pod?.uid);
    tell('node-name', node?.name);
    tell('node-uid', node?.uid);
  }
  return {
    name: userName(namespace, serviceAccount.name),
    uid: serviceAccount.uid,
    groups: [...groupsOf(namespace), 'system:authenticated'],
    extra,
  };
}
