/** A failure of gRPC as JSON of google.rpc.Status. */
import type protobuf from 'protobufjs';
import { envoyMessage } from '../../../common/envoy/protos.ts';
import type { Headers } from '../../request/headers.ts';
import { messageJson, type PrintOptions, text } from './print.ts';

/** `within`: of the descriptors that details are read by. undefined: the details are not readable. */
export function statusJson(
  within: protobuf.Type,
  status: number,
  headers: Headers,
  print: PrintOptions,
): string | undefined {
  const told = headers.first('grpc-status-details-bin');
  const message = headers.first('grpc-message');
  const type = envoyMessage('google.rpc.Status')!;
  try {
    const { details, ...plain } = (
      told === undefined ? { code: status, message: message ?? '' } : type.decode(Buffer.from(told, 'base64')).toJSON()
    ) as { readonly details?: readonly { readonly type_url: string; readonly value?: string }[] };
    const own = messageJson(type, type.fromObject(plain) as unknown as Record<string, unknown>, print, 0) as object;
    if (!details) return text(own, print);
    const any = within.root.lookupType('google.protobuf.Any');
    const list = details.map((one) =>
      messageJson(any, any.fromObject({ typeUrl: one.type_url, value: one.value ?? '' }) as never, print, 1),
    );
    return text({ ...own, details: list }, print);
  } catch {
    return undefined;
  }
}
