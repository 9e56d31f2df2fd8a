/**
 * Limits that a service counts for all pods of a waypoint (envoy.service.ratelimit.v3). The route says what a request counts as, and
 * brings the limit with it, so that the service needs no configuration that could be older than the routes.
 */
import type { LimitCounter } from '../../../common/kube/kinds/aquifer/rate-limit-policy.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import type { MeshService, MeshView, RouteTarget } from '../inputs.ts';
import { rbacExtension } from '../rbac/filters.ts';
import { type Duration, extension, type Message } from '../values.ts';
import type { Attached } from './attached.ts';
import { actionsOf, headersOf, type NamedLimit, namedLimits } from './filters.ts';

/** The entry that says the limit (istiod/quota). */
const quotaKey = 'quota';
/** What the service may tell apart; one mesh has one. */
const domain = 'aquifer.dev';
/** Envoy counts stages from 0 to 10: each service that is asked has one. */
export const mostStages = 11;
const wait: Duration = { seconds: 1 };

interface Group {
  /** undefined: it cannot be asked. */
  readonly service: MeshService | undefined;
  readonly counter: LimitCounter;
  readonly limits: readonly NamedLimit[];
  /** undefined: there are too many services. */
  readonly stage: number | undefined;
}

/** By whom is asked, in the order of the policies. */
function groupsOf(view: MeshView, attached: readonly Attached[]): readonly Group[] {
  const groups = new Map<string, { counter: LimitCounter; namespace: string; limits: NamedLimit[] }>();
  for (const one of attached) {
    const { policy } = one;
    const { counter } = policy.spec;
    if (!counter) continue;
    const namespace = counter.service.namespace ?? namespaceOf(policy);
    const key = JSON.stringify([namespace, counter.service.name, counter.port, counter.failure ?? 'Refuse']);
    const group = groups.get(key) ?? { counter, namespace, limits: [] };
    group.limits.push(...namedLimits(one));
    groups.set(key, group);
  }
  return [...groups.values()].map(({ counter, namespace, limits }, i) => {
    const found = view.service(`${namespace}/${counter.service.name}.${namespace}.svc.${view.facts.domain}`);
    const port = found?.ports.find((p) => p.number === counter.port);
    const speaks = port?.protocol === 'GRPC' || port?.protocol === 'HTTP2';
    return { service: speaks ? found : undefined, counter, limits, stage: i < mostStages ? i : undefined };
  });
}

/** Filters that ask; where nobody can be asked, one that refuses what the limits mean, unless they are declared open. */
export function countedFilters(
  view: MeshView,
  attached: readonly Attached[],
  cluster: (target: RouteTarget) => string,
): readonly Message[] {
  return groupsOf(view, attached).flatMap(({ service, counter, limits, stage }) => {
    const isClosed = counter.failure !== 'Pass';
    if (!service || stage === undefined) return isClosed ? [refusing(limits)] : [];
    const cluster_name = cluster({ service, port: counter.port, subset: '' });
    return [
      extension('envoy.filters.http.ratelimit', 'envoy.extensions.filters.http.ratelimit.v3.RateLimit', {
        domain,
        stage,
        timeout: wait,
        failure_mode_deny: isClosed,
        rate_limit_service: {
          transport_api_version: 'V3',
          grpc_service: { envoy_grpc: { cluster_name, authority: service.hostname } },
        },
        enable_x_ratelimit_headers: 'DRAFT_VERSION_03',
        rate_limited_as_resource_exhausted: true,
      }),
    ];
  });
}

/** Of the virtual host. */
export function countedRoutes(view: MeshView, attached: readonly Attached[]): readonly Message[] {
  return groupsOf(view, attached).flatMap(({ service, limits, stage }) =>
    !service || stage === undefined
      ? []
      : limits.map((named) => {
          const { limit } = named;
          const descriptor_value = `${limit.requests}/${limit.unit.toUpperCase()}`;
          const quota = { generic_key: { descriptor_key: quotaKey, descriptor_value } };
          return { stage: { value: stage }, actions: actionsOf(named, [quota]) };
        }),
  );
}

function refusing(limits: readonly NamedLimit[]): Message {
  const policies = limits.map(({ limit, id }) => {
    const rules = headersOf(limit).map((header) => ({ header }));
    const permission = rules.length > 0 ? { and_rules: { rules } } : { any: true };
    return [`no counter: ${id}`, { permissions: [permission], principals: [{ any: true }] }] as const;
  });
  const { name, message } = rbacExtension.http;
  return extension(name, message, { rules: { action: 'DENY', policies: Object.fromEntries(policies) } });
}
