/**
 * The one validator of the mesh's objects: structure, then the rules that definitions carry, then what only the mesh knows. Behind the
 * webhook, `aquifer validate` and `aquifer analyze`. Pure; total: any JSON value gives findings, never an exception.
 */
import { rateLimitPolicyKind } from '../../common/kube/kinds/aquifer/rate-limit-policy.ts';
import { grpcRouteKind } from '../../common/kube/kinds/gateway-api/grpc-route.ts';
import { httpRouteKind } from '../../common/kube/kinds/gateway-api/http-route.ts';
import { destinationRuleKind } from '../../common/kube/kinds/istio/destination-rule.ts';
import { envoyFilterKind } from '../../common/kube/kinds/istio/envoy-filter.ts';
import { istioGatewayKind } from '../../common/kube/kinds/istio/istio-gateway.ts';
import { serviceEntryKind } from '../../common/kube/kinds/istio/service-entry.ts';
import { sidecarKind } from '../../common/kube/kinds/istio/sidecar.ts';
import { telemetryKind } from '../../common/kube/kinds/istio/telemetry.ts';
import { virtualServiceKind } from '../../common/kube/kinds/istio/virtual-service.ts';
import { workloadEntryKind, workloadGroupKind } from '../../common/kube/kinds/istio/workload-entry.ts';
import {
  authorizationPolicyKind,
  peerAuthenticationKind,
  requestAuthenticationKind,
} from '../../common/kube/kinds/security.ts';
import { kindName } from '../../common/kube/names.ts';
import { checkObject, fieldsOf } from '../../common/kube/schema/check-object.ts';
import { applyDefaults } from '../../common/kube/schema/defaults.ts';
import { customKinds } from '../../common/kube/schema/table.ts';
import type { Kind, KubeObject } from '../../common/kube/types.ts';
import { checkDestinationRule } from './checks/destination-rules.ts';
import { checkGrpcRouteKind, checkHttpRouteKind } from './checks/gateway-api.ts';
import { checkIstioGateway } from './checks/gateways.ts';
import { checkEnvoyFilter, checkSidecar, checkTelemetry } from './checks/others.ts';
import {
  checkAuthorizationPolicy,
  checkPeerAuthentication,
  checkRateLimitPolicy,
  checkRequestAuthentication,
} from './checks/policies.ts';
import { checkVirtualService } from './checks/virtual-services.ts';
import { checkServiceEntry, checkWorkloadEntry, checkWorkloadGroup } from './checks/workloads.ts';
import { Field, type Finding } from './finding.ts';
import { checkRules } from './rules.ts';

type Check = (object: KubeObject, root: Field) => void;

/** The object fits the schema of its kind, so it is what its type says. */
function of<T extends KubeObject>(kind: Kind<T>, check: (object: T, root: Field) => void): readonly [string, Check] {
  return [kindName(kind), check as Check];
}

const checks: ReadonlyMap<string, Check> = new Map([
  of(serviceEntryKind, checkServiceEntry),
  of(workloadEntryKind, checkWorkloadEntry),
  of(workloadGroupKind, checkWorkloadGroup),
  of(authorizationPolicyKind, checkAuthorizationPolicy),
  of(peerAuthenticationKind, checkPeerAuthentication),
  of(requestAuthenticationKind, checkRequestAuthentication),
  of(rateLimitPolicyKind, checkRateLimitPolicy),
  of(istioGatewayKind, checkIstioGateway),
  of(destinationRuleKind, checkDestinationRule),
  of(virtualServiceKind, checkVirtualService),
  of(httpRouteKind, checkHttpRouteKind),
  of(grpcRouteKind, checkGrpcRouteKind),
  of(sidecarKind, checkSidecar),
  of(envoyFilterKind, checkEnvoyFilter),
  of(telemetryKind, checkTelemetry),
]);

const meshGroups = new Set(customKinds.map(({ kind }) => kind.group));

/** undefined: of a kind that is no matter of the mesh. `old`: what the object was before a change. */
export function validateObject(value: unknown, old?: unknown): readonly Finding[] | undefined {
  const checked = checkObject(value);
  if (checked.kind === 'invalid') {
    if (checked.entry === undefined && isForeign(value)) return undefined;
    return checked.issues.map(({ path, at, message }) => ({ level: 'error', path, at, reason: message }));
  }
  const { entry } = checked;
  const check = checks.get(kindName(entry.kind));
  const { apiVersion } = value as { readonly apiVersion: string };
  const object = { ...structuredClone(checked.object), apiVersion };
  applyDefaults(fieldsOf(entry, apiVersion), object);
  const findings: Finding[] = [...checkRules(entry, object, old)];
  check?.(object as unknown as KubeObject, new Field(findings));
  return findings;
}

/** Groups of which every kind has to be known: another is a mistake, not somebody else's. */
function isForeign(value: unknown): boolean {
  const apiVersion = (value as { readonly apiVersion?: unknown } | null)?.apiVersion;
  if (typeof apiVersion !== 'string' || typeof (value as { readonly kind?: unknown }).kind !== 'string') return false;
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  return !meshGroups.has(group);
}
