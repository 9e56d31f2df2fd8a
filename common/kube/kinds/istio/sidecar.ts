/** networking.istio.io Sidecar. Of it `egress` holds for programs that read xDS themselves, with `outboundTrafficPolicy` for Envoys that take their listeners from istiod; the rest is for meshes that have sidecars too. */
import { about, list, object, oneOf, string, type TypeOf } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { type IstioStatus, istioKind, labelSelector, uint32 } from './common.ts';
import { connectionPool, serverTls } from './traffic-policy.ts';

const port = object({ number: uint32, protocol: string(), name: string(), targetPort: uint32 });
const bind = about('Address or unix:// socket to listen on.', string());
const captureMode = about('How traffic gets there.', oneOf('DEFAULT', 'IPTABLES', 'NONE'));

const spec = object({
  workloadSelector: labelSelector,
  ingress: about(
    'Where the workload gets traffic.',
    list(
      object({
        'port!': port,
        bind,
        captureMode,
        defaultEndpoint: about('Where it goes: an address of the workload and a port, or a socket.', string()),
        tls: serverTls,
        connectionPool,
      }),
    ),
  ),
  egress: about(
    'What the workload sees of the mesh.',
    list(
      object({
        port,
        bind,
        captureMode,
        'hosts!': about('Services, <namespace>/<name>; "." is its own namespace, "*" any.', list(string())),
      }),
    ),
  ),
  inboundConnectionPool: connectionPool,
  outboundTrafficPolicy: about(
    'What happens to traffic for services that nobody knows.',
    object({
      mode: about('REGISTRY_ONLY refuses it.', oneOf('REGISTRY_ONLY', 'ALLOW_ANY')),
      egressProxy: about(
        'Where it goes.',
        object({ 'host!': string(), subset: string(), port: object({ number: uint32 }) }),
      ),
    }),
  ),
});

export interface Sidecar extends KubeObject {
  readonly spec?: TypeOf<typeof spec>;
  readonly status?: IstioStatus;
}

export const sidecarKind: Kind<Sidecar> = {
  group: 'networking.istio.io',
  version: 'v1',
  kind: 'Sidecar',
  plural: 'sidecars',
  namespaced: true,
};

export const sidecar = istioKind(sidecarKind, {
  description: 'What the sidecars of workloads take and know.',
  versions: ['v1', 'v1alpha3', 'v1beta1'],
  spec,
  specRequired: false,
});
