/** What the status of a DestinationRule, and of an XBackendTrafficPolicy, says: whether proxies get what it names, and what of it has no effect. Pure. */
import type { XBackendTrafficPolicy } from '../../../common/kube/kinds/gateway-api/experimental.ts';
import type { DestinationRule } from '../../../common/kube/kinds/istio/destination-rule.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import { contentFault, credentialOf } from '../credentials.ts';
import type { MeshService, MeshView } from '../inputs.ts';
import { hasLostTime, sessionPolicyOf } from '../routes/sessions.ts';
import { ineffective, type ParentStatus, type RouteCondition, type RouteConditions } from '../routes/status.ts';
import type { PortPolicy } from './rules.ts';

type ClientTls = NonNullable<PortPolicy['tls']>;

interface Said<T> {
  readonly field: string;
  readonly value: T;
}

export function destinationRuleConditions(view: MeshView, rule: DestinationRule): RouteConditions {
  const namespace = namespaceOf(rule);
  const { host, workloadSelector } = rule.spec;
  const isWildcard = host.startsWith('*');
  const service = isWildcard ? undefined : view.resolve(host, namespace);
  const isForSome = Object.keys(workloadSelector?.matchLabels ?? {}).length > 0;
  const tls = tlsOf(rule);
  const lost = tls.flatMap(({ field, value }) => {
    const reason = refusalOf(view, value, isForSome ? undefined : service);
    return reason === undefined ? [] : [`${field}: ${reason}`];
  });
  const idle = [
    ...(isWildcard || service ? [] : [`spec.host: no service of the mesh has the name ${host}`]),
    ...(service && service.waypoint === undefined
      ? [
          `spec.host: ${service.hostname} is behind no waypoint: only routes of waypoints that send there and clients that read xDS themselves follow the rule; label it istio.io/use-waypoint`,
        ]
      : []),
    ...(isForSome ? ['spec.workloadSelector: waypoints have no labels of clients: the rule is not for them'] : []),
    ...tls.flatMap(({ field, value }) =>
      value.mode === 'ISTIO_MUTUAL' ? [`${field}.mode: ISTIO_MUTUAL is ignored: workloads are reached by HBONE`] : [],
    ),
    ...levelsOf(rule).flatMap(({ field, value }) => unreadOf(value).map((unread) => `${field}.${unread}`)),
  ];
  return new Map([
    ['ResolvedRefs', resolution(lost)],
    [ineffective, idle.length === 0 ? undefined : { status: 'True', reason: 'Ineffective', message: idle.join('; ') }],
  ]);
}

/** Of each Service that an XBackendTrafficPolicy names. */
export function trafficPolicyStatuses(view: MeshView, policy: XBackendTrafficPolicy): readonly ParentStatus[] {
  return policy.spec.targetRefs.map(({ group, kind, name }): ParentStatus => {
    const service =
      kind === 'Service' && group === '' ? view.ofObject('Service', namespaceOf(policy), name) : undefined;
    const accepted: RouteCondition = service
      ? { status: 'True', reason: 'Accepted', message: 'the policy is valid' }
      : { status: 'False', reason: 'TargetNotFound', message: `there is no Service ${name} in the policy's namespace` };
    const idle = service && idleSession(view, policy, service);
    return {
      parentRef: { group, kind, name },
      conditions: new Map([
        ['Accepted', accepted],
        [ineffective, idle === undefined ? undefined : { status: 'True', reason: 'Ineffective', message: idle }],
      ]),
    };
  });
}

/** undefined: sessions are kept as it says, or it says nothing of them. */
function idleSession(view: MeshView, policy: XBackendTrafficPolicy, service: MeshService): string | undefined {
  const { sessionPersistence } = policy.spec;
  if (sessionPersistence === undefined) return undefined;
  const chosen = sessionPolicyOf(view, service);
  if (chosen !== undefined && chosen.metadata.name !== policy.metadata.name)
    return `spec.sessionPersistence: the older XBackendTrafficPolicy ${chosen.metadata.name} says how sessions of ${service.name} are kept`;
  return hasLostTime(sessionPersistence)
    ? 'spec.sessionPersistence.absoluteTimeout: only a session in a permanent cookie ends by time: others end where the client forgets'
    : undefined;
}

function resolution(lost: readonly string[]): RouteCondition {
  return lost.length === 0
    ? { status: 'True', reason: 'ResolvedRefs', message: 'all references lead somewhere' }
    : { status: 'False', reason: 'InvalidCertificateRef', message: `${lost.join('; ')}; nothing is sent there` };
}

/** Why nothing goes there; of Secrets as the service's waypoint would get them. */
function refusalOf(view: MeshView, tls: ClientTls, service: MeshService | undefined): string | undefined {
  const { mode, credentialName, insecureSkipVerify, clientCertificate, privateKey } = tls;
  if (mode !== 'SIMPLE' && mode !== 'MUTUAL') return undefined;
  if (!credentialName)
    return mode === 'MUTUAL' && (!clientCertificate || !privateKey)
      ? 'mode MUTUAL needs clientCertificate and privateKey, or credentialName'
      : undefined;
  const waypoint = service?.waypoint === undefined ? undefined : view.waypoint(service.waypoint);
  if (waypoint === undefined) return undefined;
  const { gateway, account } = waypoint;
  const reader = { namespace: namespaceOf(gateway), account };
  const wanted = { certificate: mode === 'MUTUAL', authorities: insecureSkipVerify !== true };
  const found = credentialOf(view, reader, credentialName, wanted);
  if (found.kind === 'refused') return found.reason;
  return contentFault(view, reader, [found.certificate, found.authorities]);
}

type Policy = NonNullable<DestinationRule['spec']['trafficPolicy']>;

function policiesOf({ spec }: DestinationRule): readonly Said<Policy>[] {
  const own = spec.trafficPolicy ? [{ field: 'spec.trafficPolicy', value: spec.trafficPolicy }] : [];
  const ofSubsets = (spec.subsets ?? []).flatMap(({ trafficPolicy }, i) =>
    trafficPolicy ? [{ field: `spec.subsets[${i}].trafficPolicy`, value: trafficPolicy }] : [],
  );
  return [...own, ...ofSubsets];
}

/** Of policies and of their ports. */
function levelsOf(rule: DestinationRule): readonly Said<Pick<Policy, Level>>[] {
  return policiesOf(rule).flatMap(({ field, value }) => [
    { field, value },
    ...(value.portLevelSettings ?? []).map((value, i) => ({ field: `${field}.portLevelSettings[${i}]`, value })),
  ]);
}

type Level = 'loadBalancer' | 'outlierDetection' | 'retryBudget' | 'tls';

/** What no proxy is told. */
function unreadOf({ loadBalancer, outlierDetection, retryBudget }: Pick<Policy, Level>): readonly string[] {
  return [
    ...(loadBalancer?.zoneAwareLbSetting?.minClusterSize
      ? ['loadBalancer.zoneAwareLbSetting.minClusterSize: zones count from any number of endpoints on']
      : []),
    ...(outlierDetection?.outlierDetectionHttpErrorCodes?.length
      ? ['outlierDetection.outlierDetectionHttpErrorCodes: statuses from 500 on are failures, and no others']
      : []),
    ...(retryBudget?.budgetInterval
      ? ['retryBudget.budgetInterval: requests that are under way count, and none before']
      : []),
  ];
}

function tlsOf(rule: DestinationRule): readonly Said<ClientTls>[] {
  return policiesOf(rule).flatMap(({ field, value }) => [
    ...(value.tls ? [{ field: `${field}.tls`, value: value.tls }] : []),
    ...(value.portLevelSettings ?? []).flatMap(({ tls }, i) =>
      tls ? [{ field: `${field}.portLevelSettings[${i}].tls`, value: tls }] : [],
    ),
  ]);
}
