/** A header that names who refused, where a waypoint's Gateway asks for it: it tells clients of policies, so nobody gets it unasked. */
import type { Gateway } from '../../../common/kube/kinds/gateway-api/gateway.ts';
import type { MeshView } from '../inputs.ts';
import type { Message } from '../values.ts';

/** On a waypoint's Gateway: `true`. */
export const denialDetailsAnnotation = 'aquifer.dev/denial-details';
const header = 'x-aquifer-denied-by';

/** Of the connection manager: details of 401 and 403 that the waypoint itself answers, as the access log has them. */
export function denialDetails(view: MeshView, gateway: string): Message {
  if (!asksForDetails(view.waypoint(gateway)?.gateway)) return {};
  const filters = [401, 403].map((status) => ({
    status_code_filter: {
      comparison: { op: 'EQ', value: { default_value: status, runtime_key: 'aquifer.denial_details' } },
    },
  }));
  const value = '%RESPONSE_CODE_DETAILS%';
  const headers_to_add = [{ header: { key: header, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' }];
  return { local_reply_config: { mappers: [{ filter: { or_filter: { filters } }, headers_to_add }] } };
}

function asksForDetails(gateway: Gateway | undefined): boolean {
  return gateway?.metadata.annotations?.[denialDetailsAnnotation] === 'true';
}
