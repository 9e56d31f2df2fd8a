/** A unary call of gRPC in a request of HTTP/2 (gRPC's PROTOCOL-HTTP2), and its answer out of the response. */
import type { GrpcAnswer, GrpcCall, HttpAnswer, HttpCall } from '../../filters/caller.ts';
import { grpcStatusOf } from '../../filters/local-reply.ts';
import { Headers } from '../../request/headers.ts';

const prefixLength = 5;

export function grpcRequest(call: GrpcCall): HttpCall {
  const { cluster, path, authority = cluster, metadata, message, timeout, most } = call;
  const headers = Headers.of([
    ['te', 'trailers'],
    ['content-type', 'application/grpc'],
    ['grpc-timeout', `${Math.max(1, Math.ceil(timeout))}m`],
    ...metadata,
  ]);
  const prefix = Buffer.alloc(prefixLength);
  prefix.writeUInt32BE(message.length, 1);
  const body = Buffer.concat([prefix, message]);
  return { cluster, method: 'POST', path, authority, headers, body, timeout, most: most + prefixLength };
}

export function grpcAnswer(answer: HttpAnswer, most: number, isSilent = false): GrpcAnswer {
  if (answer.kind === 'failed') return answer;
  const { status, headers, trailers, body } = answer;
  const code = trailers.first('grpc-status') ?? headers.first('grpc-status');
  if (code === undefined) {
    return {
      kind: 'status',
      code: grpcStatusOf(status),
      text: `an answer of HTTP status ${status} without grpc-status`,
    };
  }
  const number = /^\d{1,2}$/.test(code) ? Number(code) : 2;
  if (number !== 0) {
    return {
      kind: 'status',
      code: number,
      text: decodeMessage(trailers.first('grpc-message') ?? headers.first('grpc-message') ?? ''),
    };
  }
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
