/** Certificates that proxies hold, and the roots that the mesh trusts. Pure. */
import { parseSpiffe } from '../../../common/identity/spiffe.ts';
import type { Holding } from '../../ca/rotation/holding.ts';
import type { TrustedRoot } from '../../ca/trust.ts';
import type { Place } from '../access.ts';

export interface CertificateView {
  readonly identity: string;
  /** `namespace/name` of who asked for it. */
  readonly holder: string;
  /** Ms since the epoch. */
  readonly issuedAt: number;
  readonly notAfter: number;
}

export interface CertificatesView {
  readonly roots: readonly { readonly id: string; readonly notAfter: number }[];
  readonly certificates: readonly CertificateView[];
}

/** An identity is of pods of a namespace, and so is who holds it. */
export function placesOfHoldings(holdings: readonly Holding[]): readonly Place[] {
  return holdings.flatMap((h) => namespacesOf(h).map(podsOf));
}

export function certificatesOf(
  holdings: readonly Holding[],
  roots: readonly TrustedRoot[],
  readable: (place: Place) => boolean,
): CertificatesView {
  return {
    roots: roots.map(({ id, notAfter }) => ({ id, notAfter })),
    certificates: holdings
      .filter((h) => namespacesOf(h).every((n) => readable(podsOf(n))))
      .map(({ identity, pod: holder, issuedAt, notAfter }) => ({ identity, holder, issuedAt, notAfter }))
      .sort((a, b) => a.notAfter - b.notAfter),
  };
}

function namespacesOf({ identity, pod }: Holding): readonly string[] {
  const holder = pod.slice(0, pod.indexOf('/'));
  const named = parseSpiffe(identity)?.namespace;
  return named === undefined ? [holder] : [holder, named];
}

function podsOf(namespace: string): Place {
  return { kind: 'Pod', namespace };
}
