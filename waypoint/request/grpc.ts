/** gRPC's requests and responses by their content type. */
import type { Headers } from './headers.ts';
import type { ResponseView } from './view.ts';

/** `application/grpc` or `application/grpc+proto`; not `application/grpc-web`. */
export function isGrpcRequest(headers: Headers): boolean {
  const type = headers.get('content-type');
  return type?.startsWith('application/grpc') === true && (type.length === 16 || type[16] === '+');
}

/** Of one that has a body: gRPC that fails at once has its status in its only headers. */
export function isGrpcResponse({ status, headers }: ResponseView): boolean {
  return status === 200 && isGrpcRequest(headers);
}
