/** Kinds of gateway.networking.k8s.io (api-fields.txt), with the fields that the mesh reads. */
import type { Kind, KubeObject } from '../types.ts';
import type { LabelSelector } from './apps.ts';
import type { Condition } from './core.ts';

export interface GatewayListener {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly hostname?: string;
  readonly allowedRoutes?: {
    /** Default Same. */
    readonly namespaces?: { readonly from?: 'All' | 'Selector' | 'Same'; readonly selector?: LabelSelector };
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

export interface Gateway extends KubeObject {
  readonly spec: {
    readonly gatewayClassName: string;
    readonly listeners: readonly GatewayListener[];
    /** `type` is IPAddress by default. */
    readonly addresses?: readonly { readonly type?: string; readonly value?: string }[];
    readonly [field: string]: unknown;
  };
  readonly status?: {
    /** `type` is IPAddress by default. */
    readonly addresses?: readonly { readonly type?: string; readonly value: string }[];
    readonly conditions?: readonly Condition[];
    readonly [field: string]: unknown;
  };
}

export const gatewayKind: Kind<Gateway> = {
  group: 'gateway.networking.k8s.io',
  version: 'v1',
  kind: 'Gateway',
  plural: 'gateways',
  namespaced: true,
};
