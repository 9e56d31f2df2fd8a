/**
 * Whether a peer's certificate, or one of an authority between it and our roots, was revoked (ambient-wire 1.2): asked in
 * each handshake, and again of every open connection when the lists change.
 */
import { X509Certificate } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { MeshError } from '../core/errors.ts';
import type { WorkloadCertificate } from '../identity/types.ts';
import type { AuthenticatedSocket } from './connect.ts';
import { type RevocationList, serialOf, subjectOf } from './crl.ts';

/** What a peer has proved itself by. OpenSSL has verified that it leads to one of our roots. */
export interface PeerChain {
  readonly leaf: X509Certificate;
  /** Whatever else the peer sent, in any order, needed or not. */
  readonly sent: readonly X509Certificate[];
  readonly roots: readonly X509Certificate[];
}

/** This side of the connection: `source` dials, `destination` accepts. */
export type RevocationSide = 'source' | 'destination';

export interface RevocationCounters {
  /** A peer that was refused or cut. */
  rejected(side: RevocationSide): void;
  /** A connection that passed although no list covers all of the peer's chain. */
  unknown(side: RevocationSide): void;
}

export interface Revocation {
  /** For a handshake. Throws MeshError CERT_REVOKED. */
  admit(chain: PeerChain, side: RevocationSide): void;
  /** For an open connection: `cut` is called once, at once or later, if the chain is revoked. Returns how to stop. */
  watch(chain: PeerChain, side: RevocationSide, cut: (error: MeshError) => void): () => void;
}

type Standing = 'good' | 'unknown';
type Verdict = { readonly kind: Standing } | { readonly kind: 'revoked'; readonly reason: string };

/** Certificates that lead from a leaf to a root; a peer could send hundreds to keep us busy. */
const maxSent = 8;
/** Issuers whose lists are remembered. */
const maxIssuers = 1_000;

export class RevocationLists implements Revocation {
  readonly #clock: Clock;
  readonly #counters: RevocationCounters;
  readonly #open = new Set<() => void>();
  /** By fingerprint: the lists that the issuer has signed. */
  readonly #byIssuer = new Map<string, readonly RevocationList[]>();
  #lists: readonly RevocationList[] = [];

  constructor(clock: Clock, counters: RevocationCounters) {
    this.#clock = clock;
    this.#counters = counters;
  }

  /** Lists that hold from now on; open connections are asked again at once. */
  replace(lists: readonly RevocationList[]): void {
    this.#lists = lists;
    this.#byIssuer.clear();
    for (const recheck of [...this.#open]) recheck();
  }

  admit(chain: PeerChain, side: RevocationSide): void {
    const verdict = this.#verdict(chain);
    if (verdict.kind === 'unknown') this.#counters.unknown(side);
    if (verdict.kind === 'revoked') throw this.#rejection(side, verdict.reason);
  }

  watch(chain: PeerChain, side: RevocationSide, cut: (error: MeshError) => void): () => void {
    const recheck = () => {
      const verdict = this.#verdict(chain);
      if (verdict.kind !== 'revoked') return;
      this.#open.delete(recheck);
      cut(this.#rejection(side, verdict.reason));
    };
    this.#open.add(recheck);
    recheck();
    return () => void this.#open.delete(recheck);
  }

  #rejection(side: RevocationSide, reason: string): MeshError {
    this.#counters.rejected(side);
    return new MeshError('CERT_REVOKED', `the peer's certificate is revoked: ${reason}`);
  }

  /**
   * Follows signatures from the roots down to the leaf, over whatever was not revoked; a way that the lists cover is preferred.
   * Signatures, and not the order in which the peer sent them, tell issuers: an authority that was revoked can make
   * certificates that look like its own.
   */
  #verdict({ leaf, sent, roots }: PeerChain): Verdict {
    if (sent.length > maxSent) return { kind: 'revoked', reason: `it came with more than ${maxSent} others` };
    const reached = new Set(roots);
    let reason = 'no way to a root is left';
    for (const standing of ['good', 'unknown'] as const) {
      for (let before = 0; before < reached.size; ) {
        before = reached.size;
        for (const certificate of [leaf, ...sent]) {
          if (reached.has(certificate)) continue;
          for (const issuer of reached) {
            if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) continue;
            const own = this.#issued(certificate, issuer);
            if (own.kind === 'revoked') reason = own.reason;
            else if (own.kind === 'good' || standing === 'unknown') reached.add(certificate);
          }
        }
      }
      if (reached.has(leaf)) return { kind: standing };
    }
    return { kind: 'revoked', reason };
  }

  /** What the issuer's own lists say of one certificate. */
  #issued(certificate: X509Certificate, issuer: X509Certificate): Verdict {
    const lists = this.#listsOf(issuer);
    const serial = serialOf(certificate);
    if (lists.some((l) => l.revoked.has(serial))) {
      return { kind: 'revoked', reason: `serial number ${serial} is on the list of ${oneLine(issuer.subject)}` };
    }
    const now = this.#clock.wall();
    const current = lists.some((l) => l.nextUpdate === undefined || l.nextUpdate > now);
    return { kind: current ? 'good' : 'unknown' };
  }

  #listsOf(issuer: X509Certificate): readonly RevocationList[] {
    const key = issuer.fingerprint256;
    const known = this.#byIssuer.get(key);
    if (known) return known;
    const name = subjectOf(issuer);
    const own = this.#lists.filter((l) => l.issuer.equals(name) && l.signedBy(issuer.publicKey));
    if (this.#byIssuer.size >= maxIssuers) this.#byIssuer.clear();
    this.#byIssuer.set(key, own);
    return own;
  }
}

function oneLine(subject: string): string {
  return subject.replaceAll('\n', ', ');
}

/**
 * Both questions for the peer of one handshake; the second is what an {@link AuthenticatedSocket} carries on. Without lists
 * nobody is revoked. Throws MeshError CERT_REVOKED.
 */
export function unrevoked(
  revocation: Revocation | undefined,
  leaf: X509Certificate,
  sent: readonly X509Certificate[],
  { roots }: WorkloadCertificate,
  side: RevocationSide,
): AuthenticatedSocket['onRevoked'] {
  if (!revocation) return () => () => undefined;
  const chain = { leaf, sent, roots: parsedRoots(roots) };
  revocation.admit(chain, side);
  return (cut) => revocation.watch(chain, side, cut);
}

/** What node:tls keeps behind a leaf that it has verified. */
export function sentBehind(leaf: X509Certificate): X509Certificate[] {
  const sent: X509Certificate[] = [];
  for (let c = leaf.issuerCertificate; c; c = c.issuerCertificate) sent.push(c);
  return sent;
}

const parsed = new WeakMap<readonly string[], readonly X509Certificate[]>();

function parsedRoots(roots: readonly string[]): readonly X509Certificate[] {
  const known = parsed.get(roots);
  if (known) return known;
  const certificates = roots.map((pem) => new X509Certificate(pem));
  parsed.set(roots, certificates);
  return certificates;
}
