/** What came of a call of a module. */
import type { Death } from './process.ts';

/** Why a call has no outcome. */
export type CallFailure =
  | Exclude<Death, 'exit' | 'start'>
  /** Its process ends time and again, or could not start. */
  | 'down'
  | 'exit'
  /** It waited too long for its turn. */
  | 'late'
  /** Too many wait. */
  | 'full'
  /** The module used more CPU than its share. */
  | 'share'
  /** The module does not start: it is none, or throws. */
  | 'refused';

export type CallResult =
  | { readonly kind: 'outcome'; readonly raw: unknown }
  | { readonly kind: 'failed'; readonly cause: CallFailure; readonly detail: string };
