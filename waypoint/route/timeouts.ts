/** How long a request may take, by its route and by what its headers ask for (Envoy's router). */
import { isGrpcRequest } from '../request/grpc.ts';
import type { RequestView } from '../request/view.ts';
import type { RetryPolicy, RouteTimeouts } from './types.ts';

/** Milliseconds; 0: no limit. */
export interface EffectiveTimeouts {
  readonly response: number;
  readonly perTry: number;
  /** The whole stream, body too. */
  readonly stream: number;
}

/** Headers that ask for timeouts; they are taken out of the request once they were read. */
export const timeoutHeaders = ['x-envoy-upstream-rq-timeout-ms', 'x-envoy-upstream-rq-per-try-timeout-ms'] as const;

export function effectiveTimeouts(
  view: RequestView,
  timeouts: RouteTimeouts,
  retry: RetryPolicy | undefined,
): EffectiveTimeouts {
  const grpc = isGrpcRequest(view.headers);
  const asked = grpc ? grpcTimeout(view.headers.first('grpc-timeout')) : undefined;
  const [total, perTry] = timeoutHeaders.map((name) => milliseconds(view.headers.first(name)));
  const response = total ?? (timeouts.stream === undefined ? byRoute(timeouts, grpc, asked) : 0);
  const each = perTry ?? retry?.perTryTimeout ?? 0;
  return {
    response,
    // One that outlasts the whole says nothing.
    perTry: response !== 0 && each >= response ? 0 : each,
    stream: timeouts.stream === undefined ? 0 : streamLimit(timeouts.stream, asked),
  };
}

function byRoute({ response, grpc }: RouteTimeouts, isGrpc: boolean, asked: number | undefined): number {
  if (!isGrpc || grpc === undefined) return response;
  const wanted = Math.max(0, (asked ?? 0) - (asked !== undefined && grpc.offset < asked ? grpc.offset : 0));
  if (grpc.max === 0) return wanted;
  return wanted === 0 || wanted > grpc.max ? grpc.max : wanted;
}

function streamLimit(stream: NonNullable<RouteTimeouts['stream']>, asked: number | undefined): number {
  if (asked === undefined || stream.grpcHeaderMax === undefined) return stream.max ?? 0;
  const bounded = stream.grpcHeaderMax === 0 ? asked : Math.min(asked, stream.grpcHeaderMax);
  const offset = stream.grpcHeaderOffset ?? 0;
  return offset < bounded ? bounded - offset : bounded;
}

function milliseconds(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

const units: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1 / 1_000,
  n: 1 / 1_000_000,
};

/** grpc-timeout in milliseconds, rounded up; undefined when it is none. */
export function grpcTimeout(text: string | undefined): number | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(text ?? '') ?? [];
  return digits === undefined ? undefined : Math.ceil(Number(digits) * units[unit!]!);
}
