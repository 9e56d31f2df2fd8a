/** `%GRPC_STATUS(CAMEL_STRING)%`: how a call by gRPC ended. */
import { grpcStatusOf } from '../filters/local-reply.ts';
import { isGrpcRequest } from '../request/grpc.ts';
import type { Operator } from './format.ts';

/** By number (gRPC's doc/statuscodes). */
const names = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const;

const forms: Readonly<Record<string, (status: string) => string>> = {
  CAMEL_STRING: (status) => names[Number(status)] ?? status,
  SNAKE_STRING: (status) => {
    // gRPC's own name of that one has two l.
    if (status === '1') return 'CANCELLED';
    return (names[Number(status)] ?? status).replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
  },
  NUMBER: (status) => status,
};

/** Throws Error for a form that is none. Without a form: CAMEL_STRING. */
export function grpcStatus(form: string): Operator {
  const shown = form === '' ? forms['CAMEL_STRING'] : Object.hasOwn(forms, form) ? forms[form] : undefined;
  if (!shown) throw new Error(`%GRPC_STATUS(${form})%: ${Object.keys(forms).join(', ')} are the forms`);
  return ({ request, response, trailers }) => {
    if (!isGrpcRequest(request.headers)) return undefined;
    const told = trailers?.first('grpc-status') ?? response?.headers.first('grpc-status');
    if (told !== undefined) return /^\d+$/.test(told) ? shown(String(Number(told))) : shown('-1');
    return response === undefined ? undefined : shown(String(grpcStatusOf(response.status)));
  };
}
