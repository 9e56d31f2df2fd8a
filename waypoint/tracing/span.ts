/** What is told of one request when it is over. */
import type { SpanContext } from './context.ts';

export interface SpanTag {
  readonly name: string;
  readonly value: string;
}

export interface FinishedSpan {
  readonly context: SpanContext;
  readonly name: string;
  readonly kind: 'server' | 'client';
  /** ms since 1970. */
  readonly start: number;
  /** ms, with fractions. */
  readonly duration: number;
  /** Each name once. */
  readonly tags: readonly SpanTag[];
  readonly isError: boolean;
}
