/** envoy.service.ratelimit.v3.RateLimitResponse. */
import { decodeEnvoy, typeUrl } from '../../../common/envoy/codec.ts';
import { Fields, type Struct } from '../../../common/envoy/fields.ts';

export interface Answer {
  readonly code: 'ok' | 'over';
  /** Of the descriptors that have one. */
  readonly limits: readonly ToldLimit[];
  readonly requestHeaders: readonly (readonly [name: string, value: string])[];
  readonly responseHeaders: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly metadata: Struct | undefined;
}

interface ToldLimit {
  readonly name: string;
  readonly most: number;
  /** Of its window. */
  readonly seconds: number;
  readonly left: number;
  /** Seconds until the window ends. */
  readonly reset: number;
}

const type = typeUrl('envoy.service.ratelimit.v3.RateLimitResponse');
const windows: Readonly<Record<string, number>> = {
  UNKNOWN: 0,
  SECOND: 1,
  MINUTE: 60,
  HOUR: 3_600,
  DAY: 86_400,
  MONTH: 2_592_000,
  YEAR: 31_536_000,
};

/** undefined: it says neither yes nor no, which counts as a failure of the service; Envoy lets such requests pass. */
export function readAnswer(bytes: Uint8Array): Answer | undefined {
  const decoded = decodeEnvoy(type, bytes);
  if (decoded.kind !== 'ok') return undefined;
  const fields = new Fields(decoded.value, 'RateLimitResponse');
  const code = fields.choice('overall_code', 'UNKNOWN', { OK: 'ok', OVER_LIMIT: 'over' } as const);
  if (code === undefined) return undefined;
  const limits = fields.list('statuses').flatMap((status): readonly ToldLimit[] => {
    const limit = status.message('current_limit');
    if (!limit) return [];
    return [
      {
        name: limit.text('name'),
        most: limit.number('requests_per_unit'),
        seconds: limit.choice('unit', 'UNKNOWN', windows) ?? 0,
        left: status.number('limit_remaining'),
        reset: Math.floor((status.duration('duration_until_reset') ?? 0) / 1_000),
      },
    ];
  });
  return {
    code,
    limits: limits.filter(({ seconds }) => seconds > 0),
    requestHeaders: fields.readAll('request_headers_to_add', readHeader),
    responseHeaders: fields.readAll('response_headers_to_add', readHeader),
    body: fields.bytes('raw_body').toString(),
    metadata: fields.struct('dynamic_metadata'),
  };
}

/** Headers are the wire's bytes as latin1. */
function readHeader(fields: Fields): readonly [string, string] {
  const value = fields.has('raw_value') ? fields.bytes('raw_value') : Buffer.from(fields.text('value'));
  return [fields.text('key').toLowerCase(), value.toString('latin1')];
}
