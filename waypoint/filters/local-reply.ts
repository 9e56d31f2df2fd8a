/** Answers of our own: as HTTP, or in gRPC's form for those who speak it. */
import { isGrpcRequest } from '../request/grpc.ts';
import { Headers } from '../request/headers.ts';
import type { RequestView } from '../request/view.ts';
import type { LocalReply } from './filter.ts';

export interface ReplyMessage {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** What is sent for a reply. `isGrpc`: what the client speaks, which filters may have made something else of. gRPC gets status 200 and grpc-status in its only headers. */
export function replyMessage(view: RequestView, reply: LocalReply, isGrpc = isGrpcRequest(view.headers)): ReplyMessage {
  const headers = Headers.of(reply.headers);
  if (isGrpc) {
    headers.set('content-type', 'application/grpc');
    headers.set('grpc-status', String(reply.grpcStatus ?? grpcStatusOf(reply.status)));
    if (reply.body !== '' && view.method !== 'HEAD')
      headers.set('grpc-message', encodeMessage(Buffer.from(reply.body)));
    return { status: 200, headers, body: '' };
  }
  if (reply.body !== '') {
    if (!headers.has('content-type')) headers.set('content-type', 'text/plain');
    headers.set('content-length', String(Buffer.byteLength(reply.body)));
  }
  return { status: reply.status, headers, body: view.method === 'HEAD' ? '' : reply.body };
}

/** gRPC's mapping of HTTP statuses (doc/http-grpc-status-mapping of gRPC). */
export function grpcStatusOf(status: number): number {
  const known: Readonly<Record<number, number>> = {
    400: 13,
    401: 16,
    403: 7,
    404: 12,
    429: 14,
    502: 14,
    503: 14,
    504: 14,
  };
  return known[status] ?? 2;
}

/** Percent-encoding of gRPC's Status-Message. */
export function encodeMessage(bytes: Buffer): string {
  let out = '';
  for (const byte of bytes) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    out += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}
