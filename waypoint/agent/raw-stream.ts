/** Methods of gRPC whose messages stay bytes. */
import type { MethodDefinition } from '@grpc/grpc-js';

export const bytes = (value: Buffer): Buffer => value;

/** `path`: `/package.Service/Method`. */
export function rawStream(path: string): MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
}
