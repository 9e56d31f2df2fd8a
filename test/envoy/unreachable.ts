/** Branches of istiod/envoy that no case can cover, and why. */
import type { Unreachable } from '../harness/branches.ts';

const closed = 'assertNever: no value has that type';
const closedOnes = [
  'clusters/cluster.ts',
  'endpoints/balance.ts',
  'rbac/custom.ts',
  'rbac/filters.ts',
  'rbac/rules.ts',
  'routes/gateway-api/backends.ts',
  'routes/virtual-service/http.ts',
  'routes/virtual-service/stream.ts',
  'telemetry/logging.ts',
  'telemetry/tracing.ts',
].map((file) => ({ file: `istiod/envoy/${file}`, text: 'default:', reason: closed }));

const failed =
  'only where a generator throws: what others made is served nevertheless (istiod/xds/envoy/waypoint.test.ts)';
const istios =
  "only Istio's build of Envoy has the factory, and a stock one refuses it (istiod/xds/envoy/waypoint.test.ts)";
const refusedBefore =
  'credentialOf has refused before; who asks for a name of its own: istiod/xds/envoy/credentials.test.ts';
const ofStatus = 'said in the status of objects alone (istiod/envoy/authentication.test.ts)';

export const unreachable: readonly Unreachable[] = [
  ...closedOnes,
  {
    file: 'istiod/envoy/telemetry/expressions.ts',
    text: 'if (e instanceof CelError)',
    reason: 'nothing else is thrown by the parser',
  },
  {
    file: 'istiod/envoy/routes/gateway-api/rules.ts',
    text: "if (dialect !== 'envoy')",
    reason: 'told to gRPC programs without a proxy, which are no case (istiod/envoy/routes/gateway-api/http.test.ts)',
  },
  {
    file: 'istiod/envoy/telemetry/tracing.ts',
    text: '...(!spec.byRequestId && {',
    reason: 'every probe would be told to the collector of the cases (istiod/envoy/telemetry/tracing.test.ts)',
  },
  { file: 'istiod/envoy/waypoint/configuration.ts', text: '(behind.value ?? [])', reason: failed },
  { file: 'istiod/envoy/waypoint/configuration.ts', text: 'return isWhole(parts) ? [parts] :', reason: failed },
  { file: 'istiod/envoy/waypoint/configuration.ts', text: 'return value === undefined ? [] :', reason: refusedBefore },
  { file: 'istiod/envoy/waypoint/configuration.ts', text: 'if (endpoints.value === undefined)', reason: failed },
  { file: 'istiod/envoy/waypoint/configuration.ts', text: 'if (value === undefined)', reason: failed },
  ...[
    'if (common === undefined)',
    'view.visible(proxy.namespace)',
    'if (value === undefined)',
    'host.value === undefined ?',
  ].map((text) => ({ file: 'istiod/envoy/client/outbound.ts', text, reason: failed })),
  { file: 'istiod/envoy/waypoint/far-networks.ts', text: "engine === 'istio' ?", reason: istios },
  { file: 'istiod/envoy/waypoint/tunnels.ts', text: "engine === 'istio' ?", reason: istios },
  { file: 'istiod/envoy/credentials.ts', text: 'if (account === undefined)', reason: refusedBefore },
  { file: 'istiod/envoy/credentials.ts', text: 'if (found === undefined) return undefined', reason: refusedBefore },
  {
    file: 'istiod/envoy/credentials.ts',
    text: 'if (!view.readsSecrets(namespace, account)) return',
    reason: refusedBefore,
  },
  { file: 'istiod/envoy/credentials.ts', text: 'if (pair === undefined) return', reason: refusedBefore },
  {
    file: 'istiod/envoy/credentials.ts',
    text: 'gateway: () =>',
    reason: 'no case without credentials has another network (names that are found: test/envoy/far-networks.test.ts)',
  },
  {
    file: 'istiod/envoy/credentials.ts',
    text: 'if (e instanceof MeshError)',
    reason: 'a lookup under way: istiod/xds/envoy/credentials.test.ts',
  },
  {
    file: 'istiod/envoy/endpoints/balance.ts',
    text: "case 'CLUSTER':",
    reason: 'a scope of the workload API that no Service asks for',
  },
  {
    file: 'istiod/envoy/routes/gateway-api/attach.ts',
    text: 'spec.parentRefs ?? []',
    reason: 'routes are found by their parents',
  },
  ...['routes/values.ts', 'rbac/filters.ts'].map((file) => ({
    file: `istiod/envoy/${file}`,
    text: 'generation === undefined',
    reason: 'objects of an API server have one; `aquifer why` reads files, which have none',
  })),
  { file: 'istiod/envoy/authentication.ts', text: 'const effect = keys === undefined ?', reason: ofStatus },
  ...['const rules = spec?.rules ?? [];', 'const named = to.map(', 'return to.length === 0 || named.some('].map(
    (text) => ({
      file: 'istiod/envoy/rbac/custom.ts',
      text,
      reason: 'said in the status of policies alone (istiod/model/policy.test.ts)',
    }),
  ),
  { file: 'istiod/envoy/credentials.ts', text: 'if (!resource.startsWith(scheme))', reason: refusedBefore },
  { file: 'istiod/envoy/credentials.ts', text: 'if (name === undefined) return undefined', reason: refusedBefore },
  {
    file: 'istiod/envoy/routes/virtual-service/delegate.ts',
    text: 'root.spec.http ?? []',
    reason: 'without routes it is asked for by status alone (istiod/envoy/routes/status.test.ts)',
  },
  {
    file: 'istiod/envoy/names.ts',
    text: 'hostOfInbound',
    reason: 'reads names that came back in metrics: istiod/console/traffic',
  },
];
