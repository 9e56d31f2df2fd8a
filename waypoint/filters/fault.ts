/** envoy.extensions.filters.http.fault.v3.HTTPFault: delays and aborts, by configuration or by the request's headers. */
import type { Fields } from '../../common/envoy/fields.ts';
import { type HeaderTest, readHeader } from '../match/header.ts';
import { headerOf, type RequestView } from '../request/view.ts';
import { happens, readFraction } from '../route/match.ts';
import { type FilterContext, type FilterKind, goOn, type HttpFilter, mostSpecific, type Verdict } from './filter.ts';

/** Of 1,000,000; by header: what the header asks, at most `perMillion`. */
interface Delay {
  readonly millis: number | 'by-header';
  readonly perMillion: number;
}

interface Abort {
  readonly what: { readonly kind: 'http' | 'grpc'; readonly status: number } | 'by-header';
  readonly perMillion: number;
}

interface Fault {
  readonly delay: Delay | undefined;
  readonly abort: Abort | undefined;
  /** Empty: any. */
  readonly cluster: string;
  readonly headers: readonly HeaderTest[];
  readonly nodes: readonly string[];
  /** Requests that a fault may hold at once; undefined: any number. */
  readonly max: number | undefined;
}

const type = 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault';

export const faultFilter: FilterKind = {
  type,
  read(fields) {
    const config = readFault(fields);
    let active = 0;
    const filter: HttpFilter = {
      onRequest(view, context) {
        const fault = mostSpecific<Fault>(context) ?? config;
        if (!concerns(fault, view, context.cluster)) return goOn;
        const full = fault.max !== undefined && active >= fault.max;
        const millis = full ? undefined : delayOf(fault.delay, view, context);
        const abort = () => {
          const verdict = abortOf(fault.abort, view, context);
          if (verdict.kind === 'reply') context.count('fault.aborts_injected');
          return verdict;
        };
        if (full) context.count('fault.faults_overflow');
        if (millis === undefined) return full ? goOn : abort();
        active++;
        context.count('fault.delays_injected');
        const then = () => {
          active--;
          return abort();
        };
        return { kind: 'wait', millis, flag: 'DI', then };
      },
    };
    return filter;
  },
  perRoute: { type, read: readFault },
};

function readFault(fields: Fields): Fault {
  // There is no runtime layer that could override what is written here, and no statistics by downstream cluster.
  fields.harmless(
    'delay_percent_runtime',
    'abort_percent_runtime',
    'delay_duration_runtime',
    'abort_http_status_runtime',
    'max_active_faults_runtime',
    'response_rate_limit_percent_runtime',
    'abort_grpc_status_runtime',
    'disable_downstream_cluster_stats',
  );
  return {
    delay: fields.read('delay', readDelay),
    abort: fields.read('abort', readAbort),
    cluster: fields.text('upstream_cluster'),
    headers: fields.readAll('headers', readHeader),
    nodes: fields.texts('downstream_nodes'),
    max: fields.wrapped('max_active_faults'),
  };
}

function readDelay(fields: Fields): Delay {
  const perMillion = fields.read('percentage', readFraction) ?? 0;
  if (fields.message('header_delay')) return { millis: 'by-header', perMillion };
  return { millis: fields.duration('fixed_delay', 1) ?? 0, perMillion };
}

function readAbort(fields: Fields): Abort {
  const perMillion = fields.read('percentage', readFraction) ?? 0;
  if (fields.message('header_abort')) return { what: 'by-header', perMillion };
  if (fields.which('http_status', 'grpc_status') === 'grpc_status') {
    return { what: { kind: 'grpc', status: fields.number('grpc_status') }, perMillion };
  }
  return { what: { kind: 'http', status: fields.number('http_status', 200, 599) }, perMillion };
}

function concerns({ cluster, headers, nodes }: Fault, view: RequestView, chosen: string | undefined): boolean {
  if (cluster !== '' && cluster !== chosen) return false;
  if (nodes.length > 0 && !nodes.includes(view.headers.first('x-envoy-downstream-service-node') ?? '')) return false;
  return headers.every((header) => header.matches((name) => headerOf(view, name)));
}

/** undefined: none. */
function delayOf(delay: Delay | undefined, view: RequestView, { dice }: FilterContext): number | undefined {
  if (!delay) return undefined;
  if (delay.millis !== 'by-header') return happens(delay.perMillion, dice.random()) ? delay.millis : undefined;
  const asked = number(view, 'x-envoy-fault-delay-request');
  if (asked === undefined) return undefined;
  const share = percentage(view, 'x-envoy-fault-delay-request-percentage', delay.perMillion);
  return happens(share, dice.random()) ? asked : undefined;
}

function abortOf(abort: Abort | undefined, view: RequestView, { dice }: FilterContext): Verdict {
  if (!abort) return goOn;
  const { what, perMillion } = abort;
  if (what !== 'by-header') {
    if (!happens(perMillion, dice.random())) return goOn;
    return what.kind === 'http' ? reply(what.status) : reply(200, what.status);
  }
  const share = percentage(view, 'x-envoy-fault-abort-request-percentage', perMillion);
  const http = number(view, 'x-envoy-fault-abort-request');
  const grpc = number(view, 'x-envoy-fault-abort-grpc-request');
  const asksHttp = http !== undefined && http >= 200 && http < 600;
  if ((!asksHttp && grpc === undefined) || !happens(share, dice.random())) return goOn;
  return asksHttp ? reply(http) : reply(200, grpc);
}

function percentage(view: RequestView, header: string, configured: number): number {
  const asked = number(view, header);
  return asked === undefined ? configured : Math.min(asked * 10_000, configured);
}

function number(view: RequestView, header: string): number | undefined {
  const text = view.headers.first(header);
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function reply(status: number, grpcStatus?: number): Verdict {
  return {
    kind: 'reply',
    status,
    headers: [],
    body: 'fault filter abort',
    ...(grpcStatus === undefined ? {} : { grpcStatus }),
    details: 'fault_filter_abort',
    flag: 'FI',
  };
}
