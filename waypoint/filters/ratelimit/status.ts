/** envoy.type.v3.HttpStatus of those who were refused. */
import type { Fields } from '../../../common/envoy/fields.ts';
import { envoyProtos } from '../../../common/envoy/protos.ts';

/** What does not say that something went wrong counts as 429, as in Envoy. */
export function readStatus(fields: Fields): number {
  const code = readCode(fields);
  return code < 400 ? 429 : code;
}

export function readCode(fields: Fields): number {
  return fields.choice('code', 'Empty', envoyProtos().lookupEnum('envoy.type.v3.StatusCode').values) ?? 0;
}
