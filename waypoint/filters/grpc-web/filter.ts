/**
 * envoy.extensions.filters.http.grpc_web.v3.GrpcWeb: gRPC-Web of browsers (gRPC's PROTOCOL-WEB), binary and text, to gRPC and back. The
 * trailers of an answer become its last frame.
 */
import { isGrpcResponse } from '../../request/grpc.ts';
import type { Headers } from '../../request/headers.ts';
import type { RequestView, ResponseView } from '../../request/view.ts';
import {
  type FilterContext,
  type FilterEnvironment,
  type FilterKind,
  goOn,
  type HttpFilter,
  type LocalReply,
} from '../filter.ts';
import { encodeMessage, grpcStatusOf } from '../local-reply.ts';
import type { Onward, RequestStage, ResponseStage } from '../stream.ts';
import { TextDecoder, TextEncoder } from './text.ts';

export const grpcWebFilter: FilterKind = {
  type: 'type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb',
  read(_fields, { counter }) {
    const filter: HttpFilter = {
      onRequest(view, context) {
        const { headers } = view;
        const type = headers.first('content-type');
        if (type === undefined || !types.has(type) || view.path === '') return goOn;
        const count = outcomeCounter(counter, view, context);
        const textRequest = textTypes.has(type);
        const textResponse = textTypes.has(headers.first('accept') ?? '');
        headers.remove('content-length');
        headers.set('content-type', 'application/grpc');
        headers.set('te', 'trailers');
        if (!headers.has('grpc-accept-encoding')) headers.set('grpc-accept-encoding', 'identity');
        return {
          kind: 'stream',
          open: (request, response) => ({
            ...(textRequest && { request: fromText(request) }),
            response: new ToWeb(response, textResponse, count),
          }),
        };
      },
    };
    return filter;
  },
};

const textTypes: ReadonlySet<string> = new Set(['application/grpc-web-text', 'application/grpc-web-text+proto']);
const types: ReadonlySet<string> = new Set(['application/grpc-web', 'application/grpc-web+proto', ...textTypes]);

function fromText(onward: Onward): RequestStage {
  const decoder = new TextDecoder();
  return {
    data(chunk) {
      const bytes = decoder.push(chunk);
      if (bytes) onward.data(bytes);
      else onward.reply(refusal('grpc_base_64_decode_failed'));
    },
    end(trailers) {
      if (decoder.isComplete) onward.end(trailers);
      else onward.reply(refusal('grpc_base_64_decode_failed_bad_size'));
    },
  };
}

function refusal(details: string): LocalReply {
  return { kind: 'reply', status: 400, headers: [], body: 'Bad gRPC-web request, invalid base64 data.', details };
}

/** Of an answer that is no gRPC so many bytes become its message. */
const mostMessage = 16_384;
const trailersFrame = 0x80;

class ToWeb implements ResponseStage {
  readonly #onward: Onward;
  readonly #encoder: TextEncoder | undefined;
  readonly #count: (of: Headers) => void;
  /** An answer that is no gRPC: its head waits for its body. */
  #foreign: { readonly response: ResponseView; readonly chunks: Buffer[]; bytes: number } | undefined;

  constructor(onward: Onward, isText: boolean, count: (of: Headers) => void) {
    this.#onward = onward;
    this.#encoder = isText ? new TextEncoder() : undefined;
    this.#count = count;
  }

  head(response: ResponseView, ended: boolean): void {
    const { headers } = response;
    this.#count(headers);
    const isForeign = !ended && !isGrpcResponse(response) && !isWebResponse(response);
    headers.remove('content-length');
    headers.set('content-type', this.#encoder ? 'application/grpc-web-text+proto' : 'application/grpc-web+proto');
    if (isForeign) this.#foreign = { response, chunks: [], bytes: 0 };
    else this.#onward.head(ended);
  }

  data(chunk: Buffer): void {
    const foreign = this.#foreign;
    if (!foreign) {
      this.#onward.data(this.#encoder ? this.#encoder.push(chunk) : chunk);
      return;
    }
    if (foreign.bytes >= mostMessage) return;
    foreign.chunks.push(chunk.subarray(0, mostMessage - foreign.bytes));
    foreign.bytes += chunk.length;
  }

  end(trailers: Headers | undefined): void {
    if (trailers) this.#count(trailers);
    const foreign = this.#foreign;
    if (foreign) {
      const { status, headers } = foreign.response;
      headers.set('grpc-message', encodeMessage(Buffer.concat(foreign.chunks)));
      headers.set('grpc-status', String(grpcStatusOf(status)));
      headers.set('content-length', '0');
      this.#onward.head(true);
      return;
    }
    if (trailers) {
      const frame = frameOf(trailers);
      this.#onward.data(this.#encoder ? Buffer.from(frame.toString('base64'), 'latin1') : frame);
    }
    this.#onward.end();
  }
}

function frameOf(trailers: Headers): Buffer {
  const text = Buffer.from([...trailers].map(([name, value]) => `${name}:${value}\r\n`).join(''), 'latin1');
  const frame = Buffer.alloc(5 + text.length);
  frame[0] = trailersFrame;
  frame.writeUInt32BE(text.length, 1);
  text.copy(frame, 5);
  return frame;
}

/** The server speaks gRPC-Web itself. */
function isWebResponse({ status, headers }: ResponseView): boolean {
  const type = headers.first('content-type')?.split(';', 1)[0]?.trimEnd().toLowerCase();
  return status === 200 && (type === 'application/grpc-web' || type === 'application/grpc-web+proto');
}

/** `cluster.NAME.grpc-web.SERVICE.METHOD.total`, `.success` or `.failure`, and one by status, once a status is known. */
function outcomeCounter(
  counter: FilterEnvironment['counter'],
  { path }: RequestView,
  { cluster }: FilterContext,
): (of: Headers) => void {
  const [, service, method] = /^\/([^/?]+)\/([^/?]+)(?:\?|$)/.exec(path) ?? [];
  if (cluster === undefined || service === undefined || method === undefined) return () => undefined;
  const prefix = `cluster.${cluster}.grpc-web.${service}.${method}.`;
  return (headers) => {
    const status = headers.first('grpc-status');
    if (status === undefined) return;
    for (const name of [status, 'total', status === '0' ? 'success' : 'failure']) counter(prefix + name).value++;
  };
}
