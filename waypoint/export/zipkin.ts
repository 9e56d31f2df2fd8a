/** Zipkin's API v2 (zipkin-api: zipkin2-api.yaml): spans in JSON. */
import type { FinishedSpan } from '../tracing/span.ts';

export interface LocalEndpoint {
  readonly serviceName: string;
  /** IPv4 or IPv6; empty: not known. */
  readonly address: string;
  readonly port: number;
}

/** One span, an element of the list that an export sends, with a comma before it. */
export function zipkinSpan(span: FinishedSpan, endpoint: LocalEndpoint): Buffer {
  const { context, name, kind, start, duration, tags } = span;
  const { serviceName, address, port } = endpoint;
  const family = address.includes(':') ? 'ipv6' : 'ipv4';
  const json = {
    traceId: context.traceId,
    name,
    id: context.spanId,
    ...(context.parentId !== undefined && { parentId: context.parentId }),
    kind: kind === 'server' ? 'SERVER' : 'CLIENT',
    // Microseconds; none shorter than one, which Zipkin takes for unknown.
    timestamp: Math.round(start * 1_000),
    duration: Math.max(1, Math.round(duration * 1_000)),
    localEndpoint: { serviceName, ...(address !== '' && { [family]: address, port }) },
    ...(context.isShared && { shared: true }),
    tags: Object.fromEntries(tags.map(({ name: tag, value }) => [tag, value])),
  };
  return Buffer.from(`,${JSON.stringify(json)}`);
}

const [open, close] = ['[', ']'].map((text) => Buffer.from(text));

/** `spans`: at least one, one behind the other. */
export function zipkinList(spans: Buffer): Buffer {
  return Buffer.concat([open!, spans.subarray(1), close!]);
}
