/**
 * SPIFFE ids as Istio writes them: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`, exactly five segments
 * (ambient-wire 1.2). Characters are those the SPIFFE standard allows in a path segment, so an id can never hold what
 * a separator, a log line or an escaped text would be misread by.
 */
import type { Identity } from '../mesh/types.ts';

const segment = '(?!\\.{1,2}(?:/|$))([A-Za-z0-9._-]{1,255})';
const grammar = new RegExp(`^spiffe://${segment}/ns/${segment}/sa/${segment}$`);

/** undefined for anything that is not exactly such an id. */
export function parseSpiffe(text: string): Identity | undefined {
  // `$` also matches before a final line break only with the m flag, which is not set: the whole text is checked.
  const m = grammar.exec(text);
  return m ? { trustDomain: m[1]!, namespace: m[2]!, serviceAccount: m[3]! } : undefined;
}

/** Also the key of an identity in maps. Parts are not checked here: what does not parse again gets no certificate. */
export function formatSpiffe(id: Identity): string {
  return `spiffe://${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`;
}

/** Compares all three parts exactly; never by prefix and never without case. */
export function sameIdentity(a: Identity, b: Identity): boolean {
  return a.trustDomain === b.trustDomain && a.namespace === b.namespace && a.serviceAccount === b.serviceAccount;
}
