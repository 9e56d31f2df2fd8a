/** Kinds of discovery.k8s.io/v1. */
import type { Kind, KubeObject } from '../types.ts';

export interface EndpointSliceEndpoint {
  readonly addresses: readonly string[];
  /** An absent `ready` means ready. */
  readonly conditions?: { readonly ready?: boolean; readonly serving?: boolean; readonly terminating?: boolean };
  readonly hostname?: string;
  readonly nodeName?: string;
  readonly zone?: string;
  readonly targetRef?: {
    readonly kind?: string;
    readonly namespace?: string;
    readonly name?: string;
    readonly uid?: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

/** The label kubernetes.io/service-name names the Service. */
export interface EndpointSlice extends KubeObject {
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN';
  readonly endpoints?: readonly EndpointSliceEndpoint[];
  readonly ports?: readonly {
    readonly name?: string;
    readonly protocol?: 'TCP' | 'UDP' | 'SCTP';
    readonly port?: number;
    readonly appProtocol?: string;
  }[];
}

export const endpointSliceKind: Kind<EndpointSlice> = {
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  namespaced: true,
};
