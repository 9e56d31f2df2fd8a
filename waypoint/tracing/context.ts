/** What goes on with a request of its trace, and the headers that carry it. */
import { randomFillSync } from 'node:crypto';
import type { Headers } from '../request/headers.ts';

export interface SpanContext {
  /** 32 hex digits, or 16 where the format has short ids. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
  /** undefined: the span is the first of its trace. */
  readonly parentId: string | undefined;
  /** Whether spans of the trace are reported. */
  readonly sampled: boolean;
  /** It is the client's span, too. */
  readonly isShared?: boolean;
  /** W3C's tracestate, as it came. */
  readonly state: string;
}

/** What the headers of a request say of the trace that it is part of. */
export type Extracted =
  /** `sampled`: what they say, or sampling where they say nothing. */
  | { readonly kind: 'none'; readonly sampled: boolean }
  /** What is there is no context: nothing is told of the request, and its headers go on as they are. */
  | { readonly kind: 'malformed' }
  | { readonly kind: 'found'; readonly of: SpanContext };

/** How contexts travel, as one of Envoy's tracers does it. */
export interface Propagation {
  /** `decided`: what sampling says where the headers say nothing. */
  extract(headers: Headers, decided: boolean): Extracted;
  /** The context of a span of our own. */
  begin(parent: SpanContext | undefined, sampled: boolean): SpanContext;
  inject(headers: Headers, context: SpanContext): void;
}

const pool = Buffer.alloc(4_096);
let digits = '';
let used = 0;

/** A new id of so many bytes in hex digits. */
export function newId(bytes: 8 | 16): string {
  const end = used + bytes * 2;
  if (end > digits.length) {
    digits = randomFillSync(pool).toString('hex');
    used = 0;
    return newId(bytes);
  }
  const id = digits.slice(used, end);
  used = end;
  return id.startsWith('0') && /^0+$/.test(id) ? newId(bytes) : id;
}
