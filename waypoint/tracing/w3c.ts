/** W3C Trace Context, as Envoy's OpenTelemetry tracer takes and passes it on. */
import type { Headers } from '../request/headers.ts';
import { type Extracted, newId, type Propagation, type SpanContext } from './context.ts';

export const traceparent = 'traceparent';
export const tracestate = 'tracestate';

const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

export const w3c: Propagation = {
  extract: extractW3c,
  begin: (parent, sampled) => ({
    traceId: parent?.traceId ?? newId(16),
    spanId: newId(8),
    parentId: parent?.spanId,
    // A trace that others began is told where it is chosen here, too.
    sampled: sampled && (parent?.sampled ?? true),
    state: parent?.state ?? '',
  }),
  inject(headers, context) {
    headers.set(traceparent, traceparentOf(context));
    headers.set(tracestate, context.state);
  },
};

export function extractW3c(headers: Headers, decided: boolean): Extracted {
  const text = headers.first(traceparent);
  if (text === undefined) return { kind: 'none', sampled: decided };
  const [, , traceId = '', spanId = '', flags = ''] = form.exec(text.toLowerCase()) ?? [];
  if (!isId(traceId) || !isId(spanId)) return { kind: 'malformed' };
  const sampled = (Number.parseInt(flags, 16) & 1) === 1;
  return {
    kind: 'found',
    of: { traceId, spanId, parentId: undefined, sampled, state: headers.getAll(tracestate).join(',') },
  };
}

/** Only version 00 is written, and of its flags `sampled` alone. */
export function traceparentOf({ traceId, spanId, sampled }: SpanContext): string {
  return `00-${traceId.length === 32 ? traceId : traceId.padStart(32, '0')}-${spanId}-${sampled ? '01' : '00'}`;
}

function isId(digits: string): boolean {
  return digits !== '' && !/^0+$/.test(digits);
}
