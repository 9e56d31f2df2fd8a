/** Projected service-account tokens: who says whose they are. */
import type { JWTPayload } from 'jose';
import { isObject } from '../../../common/kube/schema/validate.ts';
import { type Caller, Unauthenticated } from '../../caller.ts';

export interface TokenReviewer {
  /** Rejects with Unauthenticated, whose message is for the log only; with ReviewUnavailable where nobody could be asked. */
  review(token: string): Promise<Caller>;
}

/** Neither yes nor no. */
export class ReviewUnavailable extends Error {}

/** The claims that Kubernetes puts into a token bound to a pod. */
export function callerOf(payload: JWTPayload): Caller {
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
