/** What the bench and its clients tell each other. Times are ms of the machine's monotonic clock. */
export type Command =
  | { readonly kind: 'connect'; readonly port: number; readonly count: number }
  /** Closes all but the first so many. */
  | { readonly kind: 'disconnect'; readonly keep: number }
  /** Tells when the first client gets a message with these bytes, once, after it has said that it looks out for them. */
  | { readonly kind: 'watch'; readonly id: number; readonly hex: string }
  /** Asks for the longest time without a message to the first client since it was asked last. */
  | { readonly kind: 'silence' };

/** What istiod is told: to look at its event loop, and to say what it saw and look no more. */
export type StallCommand = 'look' | 'say';

/** Of istiod's event loop. */
export interface Stall {
  /** Longest that it stood still. */
  readonly ms: number;
  /** Longest of that beside what its thread waited for a core. */
  readonly ownMs: number;
  /** Most that its thread used of a core in between. */
  readonly cpuMs: number;
}

export type Report =
  | { readonly kind: 'synced'; readonly ms: number; readonly bytes: number }
  | { readonly kind: 'watching'; readonly id: number }
  | { readonly kind: 'seen'; readonly ids: readonly number[]; readonly at: number }
  | { readonly kind: 'silence'; readonly ms: number }
  | { readonly kind: 'failed'; readonly reason: string };
