/** Kinds of security.istio.io (api-fields.txt). */
import type { Kind, KubeObject } from '../types.ts';
import type { Condition } from './core.ts';

export interface WorkloadSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
}

export interface PolicyTargetReference {
  readonly group?: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

export interface IstioStatus {
  readonly conditions?: readonly Condition[];
  readonly observedGeneration?: number | string;
  readonly validationMessages?: readonly Readonly<Record<string, unknown>>[];
}

type Strings = readonly string[];

export interface PolicySource {
  readonly principals?: Strings;
  readonly notPrincipals?: Strings;
  readonly requestPrincipals?: Strings;
  readonly notRequestPrincipals?: Strings;
  readonly namespaces?: Strings;
  readonly notNamespaces?: Strings;
  readonly serviceAccounts?: Strings;
  readonly notServiceAccounts?: Strings;
  readonly trustDomains?: Strings;
  readonly notTrustDomains?: Strings;
  readonly ipBlocks?: Strings;
  readonly notIpBlocks?: Strings;
  readonly remoteIpBlocks?: Strings;
  readonly notRemoteIpBlocks?: Strings;
}

export interface PolicyOperation {
  readonly hosts?: Strings;
  readonly notHosts?: Strings;
  readonly ports?: Strings;
  readonly notPorts?: Strings;
  readonly methods?: Strings;
  readonly notMethods?: Strings;
  readonly paths?: Strings;
  readonly notPaths?: Strings;
}

export interface PolicyCondition {
  readonly key: string;
  readonly values?: Strings;
  readonly notValues?: Strings;
}

export interface PolicyRuleSpec {
  readonly from?: readonly { readonly source?: PolicySource }[];
  readonly to?: readonly { readonly operation?: PolicyOperation }[];
  readonly when?: readonly PolicyCondition[];
}

export interface AuthorizationPolicy extends KubeObject {
  readonly spec?: {
    readonly selector?: WorkloadSelector;
    readonly targetRef?: PolicyTargetReference;
    readonly targetRefs?: readonly PolicyTargetReference[];
    /** Default ALLOW. */
    readonly action?: 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM';
    readonly provider?: { readonly name?: string };
    readonly rules?: readonly PolicyRuleSpec[];
  };
  readonly status?: IstioStatus;
}

export interface MutualTls {
  readonly mode?: 'UNSET' | 'DISABLE' | 'PERMISSIVE' | 'STRICT';
}

export interface PeerAuthentication extends KubeObject {
  readonly spec?: {
    readonly selector?: WorkloadSelector;
    readonly mtls?: MutualTls;
    /** Key: port of the workload, in decimal. */
    readonly portLevelMtls?: Readonly<Record<string, MutualTls>>;
  };
  readonly status?: IstioStatus;
}

const group = { group: 'security.istio.io', version: 'v1', namespaced: true } as const;

export const authorizationPolicyKind: Kind<AuthorizationPolicy> = {
  ...group,
  kind: 'AuthorizationPolicy',
  plural: 'authorizationpolicies',
};
export const peerAuthenticationKind: Kind<PeerAuthentication> = {
  ...group,
  kind: 'PeerAuthentication',
  plural: 'peerauthentications',
};
