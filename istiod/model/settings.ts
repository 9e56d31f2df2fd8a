/** What of the mesh's configuration the model needs. */
import type { Compat } from '../../common/core/compat.ts';
import type { LabelSelector } from '../../common/kube/kinds/apps.ts';
import type { MeshFacts } from '../envoy/inputs.ts';

export interface MeshSettings {
  /** `CLUSTER_ID`, default `Kubernetes`. */
  readonly clusterId: string;
  readonly trustDomain: string;
  /** Suffix of service hostnames, default `cluster.local`. */
  readonly domain: string;
  /** Its policies without selector apply to the whole mesh. Default `istio-system`. */
  readonly rootNamespace: string;
  /** Where istiod runs. Default `istio-system`. */
  readonly systemNamespace: string;
  /** The cluster's own: the label topology.istio.io/network of istiod's namespace. Default the empty one. */
  readonly network: string;
  /**
   * Who is told. Default: the cluster's own proxies. Else those of another cluster, which are in that network and are told of global services
   * alone.
   */
  readonly audience: { readonly network: string } | undefined;
  /** AMBIENT_ENABLE_MULTI_NETWORK: endpoints of other networks are told as one for each service (ambient-wire 9.7). */
  readonly multiNetwork: boolean;
  /** PILOT_AUTO_ALLOW_WAYPOINT_POLICY: what is behind a waypoint takes connections from it alone. */
  readonly allowOnlyWaypoints: boolean;
  /** AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY: policies on trial are sent, to be logged. */
  readonly dryRun: boolean;
  /** Cases in which Istio's laxer behaviour is wanted. */
  readonly compat: Compat;
  /** Which Services other networks may reach: those that one of scope GLOBAL matches. */
  readonly serviceScopes: readonly ServiceScope[];
  /** undefined: every ServiceEntry is for the whole mesh. */
  readonly serviceEntryVisibility: VisibilityRules | undefined;
  /** exportTo of Services and ServiceEntries that say nothing. */
  readonly exportTo: readonly string[];
  /** What counts for Envoys alone. */
  readonly envoy: EnvoySettings;
}

export type EnvoySettings = Omit<
  MeshFacts,
  'trustDomain' | 'domain' | 'rootNamespace' | 'clusterId' | 'network' | 'multiNetwork'
>;

export interface ServiceScope {
  /** undefined or empty: all. */
  readonly namespaces: LabelSelector | undefined;
  readonly services: LabelSelector | undefined;
  readonly scope: 'LOCAL' | 'GLOBAL';
}

/** NONE: nobody sees it. */
export type Visibility = 'PUBLIC' | 'NAMESPACE' | 'NONE';

export interface VisibilityRules {
  /** Where no policy matches. */
  readonly fallback: Visibility;
  /** The first of which all rules match counts. */
  readonly policies: readonly { readonly visibility: Visibility; readonly namespaces: readonly LabelSelector[] }[];
}

/** Of the proxies that are told: what is there they reach without a gateway. */
export function networkOfAudience({ audience, network }: MeshSettings): string {
  return audience === undefined ? network : audience.network;
}

/** What MeshConfig says where it says nothing, and a cluster of one network. */
export const defaultSettings: MeshSettings = {
  clusterId: 'Kubernetes',
  trustDomain: 'cluster.local',
  domain: 'cluster.local',
  rootNamespace: 'istio-system',
  systemNamespace: 'istio-system',
  network: '',
  audience: undefined,
  multiNetwork: false,
  allowOnlyWaypoints: false,
  dryRun: false,
  compat: new Set(),
  // The profile `ambient` of Istio's charts.
  serviceScopes: [{ namespaces: undefined, services: { matchLabels: { 'istio.io/global': 'true' } }, scope: 'GLOBAL' }],
  serviceEntryVisibility: undefined,
  exportTo: ['*'],
  envoy: {
    trustDomainAliases: [],
    connectTimeout: '10s',
    hboneIdleTimeout: '1h',
    outboundTrafficPolicy: 'ALLOW_ANY',
    pathNormalization: 'BASE',
    virtualServiceExportTo: ['*'],
    destinationRuleExportTo: ['*'],
    accessLogFile: undefined,
    accessLogFormat: undefined,
    accessLogEncoding: 'TEXT',
    extensionProviders: [
      { kind: 'prometheus', name: 'prometheus' },
      { kind: 'file', name: 'envoy', path: '/dev/stdout', format: undefined, omitsEmpty: false },
    ],
    defaultProviders: { metrics: ['prometheus'], accessLogging: [], tracing: [] },
    tracing: { isEnabled: false, sampling: 1, tags: {}, maxTagLength: undefined, hasIstioTags: true },
    defaultRetries: undefined,
    localityLb: undefined,
  },
};
