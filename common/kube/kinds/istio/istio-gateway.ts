/** networking.istio.io Gateway: Istio's own, older than the Gateway API's. */
import { about, list, map, object, string, type TypeOf } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { type IstioStatus, istioKind, uint32 } from './common.ts';
import { serverTls } from './traffic-policy.ts';

const spec = object({
  servers: about(
    'Where traffic arrives.',
    list(
      object({
        'port!': object({
          'number!': about('Port of the gateway.', uint32),
          'protocol!': about('HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS.', string()),
          'name!': about('Name of the port.', string()),
          targetPort: uint32,
        }),
        bind: about('Address or unix:// socket to listen on. Default all.', string()),
        'hosts!': about(
          'Names that are served, with namespaces of VirtualServices and "/" in front or without.',
          list(string()),
        ),
        tls: serverTls,
        defaultEndpoint: string(),
        name: about('Name of the server, for statistics; unique.', string()),
      }),
    ),
  ),
  selector: about('Labels of the pods that are this gateway.', map(string())),
});

export interface IstioGateway extends KubeObject {
  readonly spec: TypeOf<typeof spec>;
  readonly status?: IstioStatus;
}

export const istioGatewayKind: Kind<IstioGateway> = {
  group: 'networking.istio.io',
  version: 'v1',
  kind: 'Gateway',
  plural: 'gateways',
  namespaced: true,
};

export const istioGateway = istioKind(istioGatewayKind, {
  description: 'Ports and names that a gateway serves; VirtualServices say where requests go.',
  versions: ['v1', 'v1alpha3', 'v1beta1'],
  shortNames: ['gw'],
  spec,
  specRequired: false,
});
