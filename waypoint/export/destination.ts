/** Where exports go: envoy.config.core.v3.GrpcService or HttpService, by a cluster. */
import { type Millis, millis } from '../../common/core/brand.ts';
import type { Fields } from '../../common/envoy/fields.ts';
import type { Caller } from '../filters/caller.ts';
import { readAddition } from '../format/header-ops.ts';
import { Headers } from '../request/headers.ts';

type Pair = readonly [name: string, value: string];

export type Destination =
  | {
      readonly kind: 'grpc';
      readonly cluster: string;
      readonly authority: string;
      readonly metadata: readonly Pair[];
      readonly timeout: Millis;
    }
  | {
      readonly kind: 'http';
      readonly cluster: string;
      readonly authority: string;
      readonly path: string;
      readonly headers: readonly Pair[];
      readonly timeout: Millis;
    };

/** Of services that say none. */
const defaultTimeout = millis(5_000);
/** Bytes of an answer, of which nothing is read. */
const mostAnswer = 65_536;

export function readGrpcDestination(fields: Fields): Destination {
  if (fields.which('envoy_grpc', 'google_grpc') === 'google_grpc') throw fields.unsupported('google_grpc');
  const grpc = fields.required('envoy_grpc', (f) => f);
  const cluster = grpc.text('cluster_name');
  if (cluster === '') grpc.mistake('cluster_name', 'is empty');
  const metadata = fields.readAll('initial_metadata', (header): Pair => [header.text('key'), header.text('value')]);
  const timeout = fields.duration('timeout') || defaultTimeout;
  return { kind: 'grpc', cluster, authority: grpc.text('authority') || cluster, metadata, timeout };
}

export function readHttpDestination(fields: Fields): Destination {
  const uri = fields.required('http_uri', (f) => f);
  const cluster = uri.text('cluster');
  if (cluster === '') uri.mistake('cluster', 'is empty');
  const headers = fields.readAll('request_headers_to_add', (f): Pair => {
    const { name, format } = readAddition(f);
    if (format.constant === undefined) f.mistake('header', 'changes with requests, and exports are of many');
    return [name, format.constant ?? ''];
  });
  const { authority, path } = partsOf(uri.text('uri'));
  const timeout = uri.duration('timeout') || defaultTimeout;
  return { kind: 'http', cluster, authority: authority || cluster, path, headers, timeout };
}

/** With or without scheme and host, as Envoy takes them. */
function partsOf(uri: string): { readonly authority: string; readonly path: string } {
  const [, authority = '', path = ''] = /^(?:[a-z][a-z0-9+.-]*:\/\/)?([^/]*)(\/.*)?$/i.exec(uri) ?? [];
  return { authority, path: path || '/' };
}

export interface Delivery {
  readonly message: Buffer;
  /** Of gRPC: `/package.Service/Method`. */
  readonly method: string;
  /** Of HTTP. */
  readonly contentType: string;
  /** By gRPC the answer may have no message, as where nobody waits for one. Default false. */
  readonly isSilent?: boolean;
}

/** `done`: whether it arrived. */
export function deliver(
  caller: Caller,
  to: Destination,
  { message, method, contentType, isSilent = false }: Delivery,
  done: (arrived: boolean) => void,
): void {
  if (to.kind === 'grpc') {
    const { cluster, authority, metadata, timeout } = to;
    const call = { cluster, path: method, authority, metadata, message, timeout, most: mostAnswer, isSilent };
    caller.grpc(call, (answer) => done(answer.kind === 'answered'));
    return;
  }
  const { cluster, authority, path, timeout } = to;
  const headers = Headers.of([['content-type', contentType], ...to.headers]);
  caller.http(
    { cluster, method: 'POST', path, authority, headers, body: message, timeout, most: mostAnswer },
    (answer) => done(answer.kind === 'answered' && answer.status >= 200 && answer.status < 300),
  );
}
