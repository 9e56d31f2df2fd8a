/** Policies that select nobody, that their enforcer cannot check, or that fetch from anywhere. */
import { rateLimitPolicyKind } from '../../../common/kube/kinds/aquifer/rate-limit-policy.ts';
import { configMapKind, type Namespace, namespaceKind, serviceKind } from '../../../common/kube/kinds/core.ts';
import { gatewayKind } from '../../../common/kube/kinds/gateway-api/gateway.ts';
import { httpRouteKind } from '../../../common/kube/kinds/gateway-api/http-route.ts';
import { serviceEntryKind } from '../../../common/kube/kinds/istio/service-entry.ts';
import { telemetryKind } from '../../../common/kube/kinds/istio/telemetry.ts';
import {
  authorizationPolicyKind,
  peerAuthenticationKind,
  requestAuthenticationKind,
} from '../../../common/kube/kinds/security.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import type { Kind, KubeObject } from '../../../common/kube/types.ts';
import { unasked } from '../../envoy/rbac/custom.ts';
import { actionOf } from '../../envoy/rbac/filters.ts';
import { convertPolicy } from '../../model/authorization.ts';
import { parseMeshConfig } from '../../model/mesh-config.ts';
import { defaultSettings } from '../../model/settings.ts';
import type { Analyzer, Message, World } from '../world.ts';

interface Selecting extends KubeObject {
  readonly spec?: { readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> } };
}
interface Targeting extends KubeObject {
  readonly spec?: {
    readonly targetRef?: Target;
    readonly targetRefs?: readonly Target[];
  };
}
interface Target {
  readonly group?: string;
  readonly kind: string;
  readonly name: string;
}

const policies = (world: World): readonly (Selecting & Targeting)[] => [
  ...world.all(authorizationPolicyKind),
  ...world.all(peerAuthenticationKind),
  ...world.all(requestAuthenticationKind),
  ...world.all(telemetryKind),
  ...world.all(rateLimitPolicyKind),
];

export const analyzeSelectors: Analyzer = (world) =>
  policies(world).flatMap((object): readonly Message[] => {
    const labels = object.spec?.selector?.matchLabels ?? {};
    if (Object.keys(labels).length === 0 || world.workloads.length === 0) return [];
    if (world.isSelected(labels, namespaceOf(object))) return [];
    const shown = Object.entries(labels).map(([k, v]) => `${k}=${v}`);
    const text = `no workload has the labels ${shown.join(',')}, so this is for nobody`;
    return [{ sort: 'NoMatchingWorkloadsFound', object, field: 'spec.selector', text }];
  });

const targetKinds: Readonly<Record<string, Kind>> = {
  Gateway: gatewayKind,
  HTTPRoute: httpRouteKind,
  Service: serviceKind,
  ServiceEntry: serviceEntryKind,
};

export const analyzeTargets: Analyzer = (world) =>
  policies(world).flatMap((object) => {
    const refs = [
      ...(object.spec?.targetRef === undefined ? [] : [['spec.targetRef', object.spec.targetRef] as const]),
      ...(object.spec?.targetRefs ?? []).map((ref, i) => [`spec.targetRefs[${i}]`, ref] as const),
    ];
    return refs.flatMap(([field, ref]): readonly Message[] => {
      const kind = targetKinds[ref.kind];
      if (kind === undefined || world.get(kind, namespaceOf(object), ref.name) !== undefined) return [];
      if (!world.knowsAll(kind) && world.all(kind).length === 0) return [];
      const text = `the ${ref.kind} ${namespaceOf(object)}/${ref.name} is not there, so this is for nobody`;
      return [{ sort: 'ReferencedResourceNotFound', object, field, text }];
    });
  });

const isAmbient = (namespace: Namespace | undefined) =>
  namespace?.metadata.labels?.['istio.io/dataplane-mode'] === 'ambient';

/** By the code that makes what node proxies enforce. */
export const analyzeEnforcement: Analyzer = (world) => [
  ...world.all(authorizationPolicyKind).flatMap((object): readonly Message[] => {
    const namespace = world.all(namespaceKind).find((n) => n.metadata.name === namespaceOf(object));
    if (!isAmbient(namespace) && namespaceOf(object) !== world.rootNamespace) return [];
    const { accepted } = convertPolicy(object, { ...defaultSettings, rootNamespace: world.rootNamespace });
    if (accepted === undefined || accepted.reason === 'Accepted') return [];
    return [
      {
        sort: 'IneffectivePolicy',
        object,
        field: 'spec.rules',
        text: `${accepted.message}; attach it to a waypoint by targetRefs`,
      },
    ];
  }),
  ...world.all(requestAuthenticationKind).flatMap((object): readonly Message[] => {
    const namespace = world.all(namespaceKind).find((n) => n.metadata.name === namespaceOf(object));
    const { targetRef, targetRefs = [] } = object.spec ?? {};
    if (!isAmbient(namespace) || targetRef !== undefined || targetRefs.length > 0) return [];
    const text = 'node proxies read no tokens; attach it to a waypoint by targetRefs';
    return [{ sort: 'IneffectivePolicy', object, field: 'spec', text }];
  }),
];

/** MeshConfig of a control plane, by any revision. */
const meshConfigName = /^istio(-.+)?$/;

/** Of action CUSTOM, whom nobody can be asked for: as the waypoint would find. Says nothing where no MeshConfig is known. */
export const analyzeProviders: Analyzer = (world) => {
  const meshes = world.all(configMapKind).flatMap(({ metadata, data }) => {
    if (metadata.namespace !== world.rootNamespace || !meshConfigName.test(metadata.name)) return [];
    const parsed = data?.['mesh'] === undefined ? undefined : parseMeshConfig([data['mesh']]);
    return parsed?.kind === 'ok' ? [parsed.config.settings.envoy] : [];
  });
  return world.all(authorizationPolicyKind).flatMap((object): readonly Message[] => {
    if (actionOf(object) !== 'CUSTOM') return [];
    const problems = meshes.map((facts) => unasked([object], facts));
    const [text] = problems;
    if (text === undefined || problems.includes(undefined)) return [];
    return [{ sort: 'ReferencedResourceNotFound', object, field: 'spec.provider.name', text }];
  });
};

/** Addresses that only istiod's own network reaches. */
const inner = /^https?:\/\/(localhost|127\.|10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|\[?(::1|f[cd]|fe80))/i;

/** istiod fetches whatever URL it is told to: whoever may write such an object asks istiod's network for them. */
export const analyzeKeyUrls: Analyzer = (world) =>
  world.all(requestAuthenticationKind).flatMap((object) =>
    (object.spec?.jwtRules ?? []).flatMap((rule, i): readonly Message[] => {
      const uri = rule.jwksUri ?? rule.jwks_uri;
      if (uri === undefined || !inner.test(uri)) return [];
      const text = `${uri} is an address of istiod's own network, which whoever writes this object makes istiod ask; name a host, or put the keys into jwks`;
      return [{ sort: 'JwksUriFetchUnrestricted', object, field: `spec.jwtRules[${i}].jwksUri`, text }];
    }),
  );
