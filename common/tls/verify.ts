/** Who the peer is, once its chain was verified by OpenSSL: the rules of ambient-wire 1.2, without I/O. */

import { formatSpiffe, sameIdentity } from '../identity/spiffe.ts';
import type { Identity } from '../mesh/types.ts';

export type Verdict =
  | { readonly kind: 'accepted'; readonly peer: Identity }
  | { readonly kind: 'refused'; readonly reason: string };

/** Server side: one of the client's ids must be of our own trust domain; the first id is the one that policies see. */
export function verifyClient(identities: readonly Identity[], trustDomain: string): Verdict {
  const peer = identities[0];
  if (peer === undefined) return { kind: 'refused', reason: 'its certificate has no SPIFFE id' };
  if (!identities.some((id) => id.trustDomain === trustDomain)) {
    return {
      kind: 'refused',
      reason: `its certificate is for ${list(identities)}, which is not of the trust domain ${trustDomain}`,
    };
  }
  return { kind: 'accepted', peer };
}

/** Client side: one of the server's ids must be among the expected ones. Nothing expected means nothing accepted. */
export function verifyServer(identities: readonly Identity[], expected: readonly Identity[]): Verdict {
  const peer = identities.find((id) => expected.some((e) => sameIdentity(e, id)));
  if (peer) return { kind: 'accepted', peer };
  return {
    kind: 'refused',
    reason: `its certificate is for ${list(identities)}, expected ${list(expected)}`,
  };
}

function list(identities: readonly Identity[]): string {
  return identities.length === 0 ? 'nobody' : identities.map(formatSpiffe).join(' or ');
}
