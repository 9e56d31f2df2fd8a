/** gRPC requests by their content type. */
import type { Headers } from './headers.ts';

/** `application/grpc` or `application/grpc+proto`; not `application/grpc-web`. */
export function isGrpcRequest(headers: Headers): boolean {
  const type = headers.get('content-type');
  return type?.startsWith('application/grpc') === true && (type.length === 16 || type[16] === '+');
}
