/** The header x-forwarded-client-cert, made of who the caller of the tunnel proved to be, where the waypoint's Gateway asks for it. */
import type { MeshView } from '../inputs.ts';
import type { WaypointProxy } from '../proxy.ts';
import { peerPrincipal } from '../routes/matchers.ts';
import { extension, type Message } from '../values.ts';

const annotation = 'ambient.istio.io/xfcc-include-client-identity';

/** A filter before those that look at headers, and what the connection manager is told with it. What clients say of it is lost either way. */
export function clientCertificate(
  view: MeshView,
  { gateway }: WaypointProxy,
): { readonly filters: readonly Message[]; readonly manager: Message } {
  const found = view.waypoint(gateway)?.gateway;
  const { metadata, spec } = found ?? {};
  const text = spec?.infrastructure?.annotations?.[annotation] ?? metadata?.annotations?.[annotation] ?? '';
  if (text.toLowerCase() !== 'true') return { filters: [], manager: {} };
  const value = `By=%FILTER_STATE(io.istio.local_principal:PLAIN)%;URI=%FILTER_STATE(${peerPrincipal}:PLAIN)%`;
  const append = { header: { key: 'x-forwarded-client-cert', value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' };
  const filter = extension(
    'istio.waypoint.xfcc_client_identity',
    'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
    { mutations: { request_mutations: [{ append }] } },
  );
  // The tunnel's inside has no certificate: nothing else would be forwarded.
  return { filters: [filter], manager: { forward_client_cert_details: 'ALWAYS_FORWARD_ONLY' } };
}
