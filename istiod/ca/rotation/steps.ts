/**
 * How a self-signed root is replaced, without I/O: the next root is trusted beside the old one; once every proxy trusts it, it signs; once
 * nothing that the old one signed is in use, the old one goes. No step is taken before its time, whoever asks.
 */
import type { VaultContent } from '../roots/vault.ts';
import type { Holding } from './holding.ts';
import { type MeshView, type Outstanding, outstanding } from './outstanding.ts';

/** What people write into the ConfigMap of rotations. Any text; a new one is a new request. */
export interface Wish {
  readonly rotate: string | undefined;
  /** The request that is taken back; only until the new root signs. */
  readonly abort: string | undefined;
}

export interface StepInputs {
  readonly content: VaultContent;
  /** Ids of the roots in it. */
  readonly ids: { readonly current: string; readonly next: string | undefined; readonly previous: string | undefined };
  readonly wish: Wish;
  /** Whether the current root is so old that the next one is due. */
  readonly ages: boolean;
  readonly holdings: readonly Holding[];
  readonly view: MeshView;
  /** Ms. */
  readonly defaultTtl: number;
}

export type Step =
  | { readonly kind: 'rest' }
  /** Make a root and have it trusted; `request` is the last one that was heard. */
  | { readonly kind: 'begin'; readonly why: string; readonly request: string | undefined }
  /** Sign with it. */
  | { readonly kind: 'sign' }
  /** Trust the old one no more. */
  | { readonly kind: 'drop' }
  /** Back to the old one alone. */
  | { readonly kind: 'abandon' }
  | {
      readonly kind: 'wait';
      readonly phase: 'distributing' | 'retiring';
      readonly missing: readonly Outstanding[];
      /** Ms since the epoch before which it does not go on though nothing is missing. */
      readonly until: number;
    };

export function nextStep(inputs: StepInputs): Step {
  const { content, ids, wish, view } = inputs;
  if (ids.next !== undefined) {
    const { next } = ids;
    if (wish.abort !== undefined && wish.abort === content.request) return { kind: 'abandon' };
    const missing = outstanding(inputs.holdings, view, (h) => h.roots.includes(next));
    const until = (content.since ?? 0) + blindness(inputs);
    if (missing.length === 0 && view.now >= until) return { kind: 'sign' };
    return { kind: 'wait', phase: 'distributing', missing, until };
  }
  if (ids.previous !== undefined) {
    const { previous } = ids;
    const missing = outstanding(inputs.holdings, view, (h) => h.under !== previous);
    const until = retiredAt(inputs);
    if (missing.length === 0 && view.now >= until) return { kind: 'drop' };
    return { kind: 'wait', phase: 'retiring', missing, until };
  }
  if (inputs.ages) return { kind: 'begin', why: 'the root nears its end', request: content.request };
  const { rotate, abort } = wish;
  if (rotate === undefined || rotate === content.request || rotate === abort) return { kind: 'rest' };
  return { kind: 'begin', why: 'it was asked for', request: rotate };
}

/**
 * Ms for which a replica that cannot see the vault goes on as it was (roots/self-signed-ca.ts): so long after a step it may still give out
 * what was right before.
 */
function blindness({ defaultTtl }: StepInputs): number {
  return defaultTtl / 2;
}

/** When the last leaf of the old root has ended, also of a replica that did not see the switch: by the longest life that was given out. */
function retiredAt(inputs: StepInputs): number {
  const longest = inputs.holdings.reduce((most, h) => Math.max(most, h.notAfter - h.issuedAt), inputs.defaultTtl);
  return (inputs.content.since ?? 0) + blindness(inputs) + longest;
}
