/**
 * Action CUSTOM: a service of the user's decides about what the rules match. As in Istio, a filter of rules without effect notes what
 * matches, and ext_authz asks where it did. Where nobody can be asked, what the rules match is refused.
 */
import { assertNever } from '../../../common/core/errors.ts';
import type { AuthorizationPolicy } from '../../../common/kube/kinds/security.ts';
import type { AuthzProvider, MeshFacts, MeshView, RouteTarget } from '../inputs.ts';
import { collectorOf } from '../telemetry/tracing.ts';
import { durationOf, extension, type Message } from '../values.ts';
import { actionOf, rbacExtension, rulesOf } from './filters.ts';
import type { Level } from './rules.ts';

const shadowPrefix = 'istio_ext_authz_';
const extAuthz = 'envoy.filters.http.ext_authz';
const message = 'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz';

/** `cluster` names the cluster that leads to a service; without it, as for connections without requests, nobody is asked. */
export function customFilters(
  view: MeshView,
  all: readonly AuthorizationPolicy[],
  level: Level,
  statPrefix: string,
  cluster?: (target: RouteTarget) => string,
): readonly Message[] {
  const { facts } = view;
  const policies = all.filter((p) => actionOf(p) === 'CUSTOM');
  const { name, message: rbac } = rbacExtension[level];
  const provider = soleProvider(policies, facts);
  const service = provider.kind === 'authz' ? collectorOf(view, provider) : undefined;
  if (provider.kind !== 'authz' || !service || !cluster) {
    const rules = rulesOf(policies, 'DENY', level, facts, (rule) => `${prefixOf(provider)}${rule}${refused}`);
    return rules ? [extension(name, rbac, { rules, ...(level === 'tcp' && { stat_prefix: statPrefix }) })] : [];
  }
  const rules = rulesOf(policies, 'DENY', level, facts, (rule) => prefixOf(provider) + rule);
  if (!rules) return [];
  const to = cluster({ service, port: provider.port, subset: '' });
  return [
    extension(name, rbac, { shadow_rules: rules, shadow_rules_stat_prefix: shadowPrefix }),
    extension(extAuthz, message, filterOf(provider, service.hostname, to)),
  ];
}

/** As Istio ends the names of such rules. */
const refused = '-deny-due-to-bad-CUSTOM-action';

function prefixOf({ name }: { readonly name: string }): string {
  return `istio-ext-authz-${name}-`;
}

type Sole = AuthzProvider | { readonly kind: 'nobody'; readonly name: string; readonly reason: string };

/** Istio asks one service for a workload, too. */
function soleProvider(policies: readonly AuthorizationPolicy[], facts: Pick<MeshFacts, 'extensionProviders'>): Sole {
  const names = [...new Set(policies.map((p) => p.spec?.provider?.name ?? ''))].sort();
  const [name = ''] = names;
  if (names.length > 1)
    return { kind: 'nobody', name: 'several', reason: `several providers (${names.join(', ')}) for one service` };
  const found = facts.extensionProviders.filter((p) => p.name === name);
  const [only] = found;
  const nobody = (reason: string): Sole => ({ kind: 'nobody', name, reason });
  if (only === undefined) return nobody(`MeshConfig has no extensionProvider ${JSON.stringify(name)}`);
  if (found.length > 1) return nobody(`MeshConfig has ${found.length} extensionProviders ${name}`);
  if (only.kind === 'unusable') return nobody(only.reason);
  return only.kind === 'authz'
    ? only
    : nobody(`extensionProvider ${name} is neither of type envoyExtAuthzHttp nor envoyExtAuthzGrpc`);
}

/** Why its policies of action CUSTOM refuse instead of asking; undefined: they ask, if there is such a service. */
export function unasked(
  policies: readonly AuthorizationPolicy[],
  facts: Pick<MeshFacts, 'extensionProviders'>,
): string | undefined {
  const sole = soleProvider(policies, facts);
  return sole.kind === 'nobody' ? `${sole.reason}: what the rules match is refused` : undefined;
}

/**
 * Of `ports`, whose connections carry no requests to ask about, those that a rule of the policy can match; it refuses there instead of
 * asking. Ports that a rule does not name under `to` are none of its own.
 */
export function unaskedPorts({ spec }: AuthorizationPolicy, ports: readonly number[]): readonly number[] {
  const rules = spec?.rules ?? [];
  return ports.filter((port) =>
    rules.some(({ to = [] }) => {
      const named = to.map(({ operation }) => operation?.ports ?? []);
      return to.length === 0 || named.some((list) => list.length === 0 || list.includes(String(port)));
    }),
  );
}

function filterOf(provider: AuthzProvider, hostname: string, cluster: string): Message {
  const { statusOnError, body } = provider;
  const { allowed, ...service } = serviceOf(provider, hostname, cluster);
  return {
    ...service,
    ...(allowed && { allowed_headers: allowed }),
    transport_api_version: 'V3',
    failure_mode_allow: provider.failsOpen,
    ...(provider.clearsRoute && { clear_route_cache: true }),
    ...(statusOnError !== undefined && { status_on_error: { code: statusOnError } }),
    ...(body && {
      with_request_body: {
        max_request_bytes: body.most,
        allow_partial_message: body.partial,
        pack_as_bytes: body.asBytes,
      },
    }),
    filter_enabled_metadata: {
      filter: rbacExtension.http.name,
      path: [{ key: `${shadowPrefix}shadow_effective_policy_id` }],
      value: { string_match: { prefix: prefixOf(provider) } },
    },
  };
}

interface Asked {
  readonly allowed?: Message | undefined;
  readonly http_service?: Message;
  readonly grpc_service?: Message;
}

function serviceOf({ by, timeout = '600s' }: AuthzProvider, hostname: string, cluster: string): Asked {
  const wait = durationOf(timeout);
  switch (by.kind) {
    case 'grpc':
      return { grpc_service: { envoy_grpc: { cluster_name: cluster, authority: hostname }, timeout: wait } };
    case 'http': {
      const answer = {
        allowed_upstream_headers: headers(by.toUpstream),
        allowed_client_headers: headers(by.toClientOnDeny),
        allowed_client_headers_on_success: headers(by.toClientOnAllow),
      };
      const said = Object.entries(answer).filter(([, list]) => list !== undefined);
      const added = by.addedHeaders.map(({ name: key, value }) => ({ key, value }));
      return {
        allowed: headers(by.requestHeaders),
        http_service: {
          path_prefix: by.pathPrefix,
          server_uri: { uri: `http://${hostname}`, cluster, timeout: wait },
          ...(added.length > 0 && { authorization_request: { headers_to_add: added } }),
          ...(said.length > 0 && { authorization_response: Object.fromEntries(said) }),
        },
      };
    }
    default:
      return assertNever(by);
  }
}

/** undefined: none. */
function headers(names: readonly string[]): Message | undefined {
  if (names.length === 0) return undefined;
  return {
    patterns: names.map((name) => ({
      ...(name.startsWith('*')
        ? { suffix: name.slice(1) }
        : name.endsWith('*')
          ? { prefix: name.slice(0, -1) }
          : { exact: name }),
      ignore_case: true,
    })),
  };
}
