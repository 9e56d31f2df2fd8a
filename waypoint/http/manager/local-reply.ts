/** Answers of our own, as Envoy words them. */
import type { LocalReply as FilterReply } from '../../filters/filter.ts';
import type { ServerExchange } from '../message.ts';

/** `flags`: Envoy's short names. */
export type LocalReply = Omit<FilterReply, 'flag'> & { readonly flags: readonly string[] };

type Optional = Partial<Pick<LocalReply, 'body' | 'headers' | 'flags'>>;

export function localReply(
  status: number,
  details: string,
  { body = '', headers = [], flags = [] }: Optional = {},
): LocalReply {
  return { kind: 'reply', status, body, headers, details, flags };
}

/** Of a filter. */
export function fromFilter({ flag, ...reply }: FilterReply): LocalReply {
  return { ...reply, flags: flag === undefined ? [] : [flag] };
}

/** gRPC status to HTTP's, for outlier detection and statistics. */
export function httpStatusOf(grpc: number): number {
  return httpStatuses[grpc] ?? 500;
}

/** By gRPC's number. */
const httpStatuses: readonly number[] = [
  200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
];

/** Nothing has been answered yet. */
export function sendReply(exchange: ServerExchange, status: number, headers: string[], body: Buffer): void {
  exchange.respond({ status, headers }, body.length === 0);
  if (body.length === 0) return;
  exchange.write(body);
  exchange.end();
}
