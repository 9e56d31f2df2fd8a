/** B3 (openzipkin/b3-propagation), as Envoy's Zipkin tracer takes and passes it on: in one header where it came in one, else in several. */
import type { Headers } from '../request/headers.ts';
import { type Extracted, newId, type Propagation, type SpanContext } from './context.ts';
import { extractW3c, traceparent, traceparentOf, tracestate } from './w3c.ts';

const names = {
  single: 'b3',
  trace: 'x-b3-traceid',
  span: 'x-b3-spanid',
  parent: 'x-b3-parentspanid',
  sampled: 'x-b3-sampled',
} as const;

export interface B3Options {
  /** New ids of traces have 128 bits instead of 64. */
  readonly longIds: boolean;
  /** W3C's headers count where there are none of B3, and go along. */
  readonly withW3c: boolean;
  /** A server's span has the id of its client's. */
  readonly sharesSpans: boolean;
}

export function b3(options: B3Options): Propagation {
  return {
    extract(headers, decided) {
      const single = headers.first(names.single);
      if (single !== undefined) return fromSingle(single, decided);
      const said = headers.first(names.sampled);
      const sampled = said === undefined ? decided : isYes(said);
      const found = fromMany(headers, sampled);
      if (found.kind !== 'none' || !options.withW3c) return found;
      const other = extractW3c(headers, sampled);
      return other.kind === 'found' ? other : found;
    },
    begin(parent, sampled) {
      if (parent && options.sharesSpans) return { ...parent, isShared: true };
      const spanId = newId(8);
      return {
        // Short ids of traces are those of their first spans.
        traceId: parent?.traceId ?? (options.longIds ? newId(16) : spanId),
        spanId,
        parentId: parent?.spanId,
        sampled: parent?.sampled ?? sampled,
        state: parent?.state ?? '',
      };
    },
    inject(headers, context) {
      const { traceId, spanId, parentId } = context;
      const flag = context.sampled ? '1' : '0';
      if (headers.has(names.single)) {
        headers.set(names.single, [traceId, spanId, flag, ...(parentId === undefined ? [] : [parentId])].join('-'));
      } else {
        headers.set(names.trace, traceId);
        headers.set(names.span, spanId);
        if (parentId !== undefined) headers.set(names.parent, parentId);
        headers.set(names.sampled, flag);
      }
      if (!options.withW3c) return;
      headers.set(traceparent, traceparentOf(context));
      if (context.state !== '') headers.set(tracestate, context.state);
    },
  };
}

function fromMany(headers: Headers, sampled: boolean): Extracted {
  const trace = headers.first(names.trace);
  const span = headers.first(names.span);
  if (trace === undefined || span === undefined) return { kind: 'none', sampled };
  return contextOf(trace, span, headers.first(names.parent), sampled);
}

/** `1`, as old tracers write it `true`. */
function isYes(text: string): boolean {
  return text === '1' || text === 'true';
}

/** `trace-span-sampled-parent`, of which the last two may be missing; one character alone says only whether it is sampled. */
function fromSingle(text: string, decided: boolean): Extracted {
  if (text.length === 1) return { kind: 'none', sampled: text === '1' || text === 'd' };
  const [trace = '', span = '', flag, parent, ...more] = text.split('-');
  if (more.length > 0 || (flag !== undefined && flag.length !== 1)) return { kind: 'malformed' };
  return contextOf(trace, span, parent, flag === undefined ? decided : flag === '1' || flag === 'd');
}

function contextOf(trace: string, span: string, parent: string | undefined, sampled: boolean): Extracted {
  const long = trace.length > 16;
  const [traceId, spanId] = [idOf(trace, long ? 32 : 16), idOf(span, 16)];
  const parentId = parent === undefined || parent === '' ? undefined : idOf(parent, 16);
  if (traceId === undefined || spanId === undefined || (parent && parentId === undefined)) return { kind: 'malformed' };
  const of: SpanContext = { traceId, spanId, parentId, sampled, state: '' };
  return { kind: 'found', of };
}

/** In lower case and full length; undefined: no id. */
function idOf(text: string, digits: number): string | undefined {
  return /^[0-9a-f]+$/i.test(text) && text.length <= digits ? text.toLowerCase().padStart(digits, '0') : undefined;
}
