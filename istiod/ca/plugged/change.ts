/**
 * What becomes of a plugged-in CA that was replaced: below the same root at once; below another one in steps, none of which cuts proxies
 * off from each other. Pure.
 */
import type { Holding } from '../rotation/holding.ts';
import { type MeshView, type Outstanding, outstanding } from '../rotation/outstanding.ts';
import { distinct, hasRoot, type TrustedRoot } from '../trust.ts';

export interface Side {
  /** Id of the root that what it signs leads to. */
  readonly root: string;
  readonly roots: readonly TrustedRoot[];
}

export interface ChangeInputs {
  /** What signs and is trusted so far. */
  readonly current: Side;
  /** What is plugged in. */
  readonly wanted: Side;
  readonly holdings: readonly Holding[];
  readonly view: MeshView;
  /** Ms. */
  readonly defaultTtl: number;
  /** Ms since the epoch: when the current one began to sign. */
  readonly since: number;
}

export interface Change {
  readonly signs: 'current' | 'wanted';
  readonly trusts: readonly TrustedRoot[];
  /** Whom the wanted one waits for. */
  readonly missing: readonly Outstanding[];
}

export function changeOf(inputs: ChangeInputs): Change {
  const { current, wanted, holdings, view } = inputs;
  const missing = wanted.root === current.root ? [] : outstanding(holdings, view, (h) => h.roots.includes(wanted.root));
  const signs = missing.length === 0 ? 'wanted' : 'current';
  const old = current.roots.filter((r) => !hasRoot(wanted.roots, r.id));
  // What signs now, signed until now, or may still be in use.
  const kept = old.filter((r) => r.id === current.root || isInUse(r.id, inputs));
  return { signs, trusts: distinct([...wanted.roots, ...kept]), missing };
}

function isInUse(root: string, { holdings, view, defaultTtl, since }: ChangeInputs): boolean {
  const longest = holdings.reduce((most, h) => Math.max(most, h.notAfter - h.issuedAt), defaultTtl);
  return view.now < since + longest || outstanding(holdings, view, (h) => h.under !== root).length > 0;
}
