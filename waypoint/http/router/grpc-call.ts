/** Calls of gRPC in requests of HTTP/2 (gRPC's PROTOCOL-HTTP2): a unary one and its answer, and the parts of a stream. */
import type { Millis } from '../../../common/core/brand.ts';
import type { GrpcAnswer, GrpcCall, HttpAnswer, HttpCall } from '../../filters/caller.ts';
import { grpcStatusOf } from '../../filters/local-reply.ts';
import { Headers } from '../../request/headers.ts';

const prefixLength = 5;

export function grpcRequest(call: GrpcCall): HttpCall {
  const { cluster, path, authority = cluster, metadata, message, timeout, most } = call;
  const headers = streamHeaders(timeout, metadata);
  const body = frameOf(message);
  return { cluster, method: 'POST', path, authority, headers, body, timeout, most: most + prefixLength };
}

/** Without a timeout nothing is said of one. */
export function streamHeaders(timeout: Millis | undefined, metadata: GrpcCall['metadata']): Headers {
  return Headers.of([
    ['te', 'trailers'],
    ['content-type', 'application/grpc'],
    ...(timeout === undefined ? [] : [['grpc-timeout', `${Math.max(1, Math.ceil(timeout))}m`] as const]),
    ...metadata,
  ]);
}

/** A message with its prefix. */
export function frameOf(message: Buffer): Buffer {
  const prefix = Buffer.alloc(prefixLength);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Messages out of the chunks of a stream; `most` bytes each, and no more than one is kept. */
export class MessageReader {
  readonly #most: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Of `#bytes`, before there is anything to read. */
  #needed = prefixLength;

  constructor(most: number) {
    this.#most = most;
  }

  /** After a fault nothing more is to be read. */
  push(chunk: Buffer): { readonly messages: readonly Buffer[]; readonly fault: string | undefined } {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const messages: Buffer[] = [];
    let fault: string | undefined;
    if (this.#bytes < this.#needed) return { messages, fault };
    let rest = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    this.#needed = prefixLength;
    while (rest.length >= prefixLength && fault === undefined) {
      const end = prefixLength + rest.readUInt32BE(1);
      if (rest[0] !== 0) fault = 'a compressed message, which was not asked for';
      else if (end - prefixLength > this.#most) fault = `a message is longer than ${this.#most} bytes`;
      else if (rest.length < end) {
        this.#needed = end;
        break;
      } else {
        messages.push(rest.subarray(prefixLength, end));
        rest = rest.subarray(end);
      }
    }
    this.#chunks = [rest];
    this.#bytes = rest.length;
    return { messages, fault };
  }
}

/** How a stream ended. */
export function streamStatus(
  status: number,
  headers: Headers,
  trailers: Headers,
): { readonly code: number; readonly text: string } {
  const code = trailers.first('grpc-status') ?? headers.first('grpc-status');
  if (code === undefined)
    return { code: grpcStatusOf(status), text: `an answer of HTTP status ${status} without grpc-status` };
  const text = decodeMessage(trailers.first('grpc-message') ?? headers.first('grpc-message') ?? '');
  return { code: /^\d{1,2}$/.test(code) ? Number(code) : 2, text };
}

export function grpcAnswer(answer: HttpAnswer, most: number, isSilent = false): GrpcAnswer {
  if (answer.kind === 'failed') return answer;
  const { status, headers, trailers, body } = answer;
  const told = streamStatus(status, headers, trailers);
  if (told.code !== 0) return { kind: 'status', ...told };
  if (body.length === 0 && isSilent) return { kind: 'answered', message: body };
  if (body.length < prefixLength) return { kind: 'status', code: internal, text: 'an answer without a message' };
  if (body[0] !== 0) return { kind: 'status', code: internal, text: 'a compressed message, which was not asked for' };
  const length = body.readUInt32BE(1);
  if (length > most || body.length !== length + prefixLength) {
    return { kind: 'status', code: internal, text: 'not one message' };
  }
  return { kind: 'answered', message: body.subarray(prefixLength) };
}

const internal = 13;

/** Percent-decoding of gRPC's Status-Message; what is no encoding stays as it is. */
function decodeMessage(text: string): string {
  return Buffer.from(
    text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  ).toString('utf8');
}
