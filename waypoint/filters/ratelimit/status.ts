/** envoy.type.v3.HttpStatus of those who were refused. */
import type { Fields } from '../../../common/envoy/fields.ts';
import { readHttpStatus } from '../http-status.ts';

/** What does not say that something went wrong counts as 429, as in Envoy. */
export function readStatus(fields: Fields): number {
  const code = readHttpStatus(fields);
  return code < 400 ? 429 : code;
}
