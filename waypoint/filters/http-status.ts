/** envoy.type.v3.HttpStatus. */
import type { Fields } from '../../common/envoy/fields.ts';
import { envoyProtos } from '../../common/envoy/protos.ts';

/** 100 to 599: one that Envoy's enum has a name for. */
export function readHttpStatus(fields: Fields): number {
  const { Empty: _, ...statuses } = envoyProtos().lookupEnum('envoy.type.v3.StatusCode').values;
  return fields.choice('code', 'Empty', statuses) ?? 500;
}
