/** gateway.networking.k8s.io GRPCRoute. */
import { about, object, oneOf, string, type TypeOf, where, withDefault } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { age, atomic, gatewayApiKind, keyed } from './common.ts';
import { grpcFilters } from './filters.ts';
import {
  backendFields,
  boundedMatches,
  headerName,
  routeHostnames,
  routeParents,
  routeStatus,
  ruleName,
  servicesHavePorts,
  sessionPersistence,
  uniqueRuleNames,
} from './route.ts';

const matchType = withDefault(oneOf('Exact', 'RegularExpression'), 'Exact');
const expression = "(has(self.type) && self.type == 'RegularExpression')";
const method = [
  ['!has(self.type) || has(self.service) || has(self.method)', 'expected a service, a method, or both'],
  [
    `${expression} || !has(self.service) || self.service.matches(r"""^\\.?[A-Za-z_][A-Za-z_0-9]*(\\.[A-Za-z_][A-Za-z_0-9]*)*$""")`,
    'a service is a name such as package.Service',
  ],
  [
    `${expression} || !has(self.method) || self.method.matches(r"""^[A-Za-z_][A-Za-z_0-9]*$""")`,
    'a method is a name of letters, digits and "_"',
  ],
].reduce(
  (schema, [rule, message]) => where(schema, rule!, message!),
  object({ type: matchType, service: string({ maxLength: 1024 }), method: string({ maxLength: 1024 }) }),
);

const match = object({
  method: about('Service and method. Default: all.', method),
  headers: about(
    'All of these headers.',
    keyed(
      object({ type: matchType, 'name!': headerName, 'value!': string({ minLength: 1, maxLength: 4096 }) }),
      'name',
      { maxItems: 16 },
    ),
  ),
});

const rule = object({
  name: ruleName,
  matches: about('One of these has to match; without any, everything does.', atomic(match, { maxItems: 64 })),
  filters: about('What happens to calls on their way.', grpcFilters),
  backendRefs: about(
    'Where calls go, by weights.',
    atomic(
      where(
        object({ ...backendFields, filters: about('For calls that go there.', grpcFilters) }),
        ...servicesHavePorts,
      ),
      { maxItems: 16 },
    ),
  ),
  sessionPersistence: about('Calls of a session go to the same endpoint.', sessionPersistence),
});

const spec = object({
  ...routeParents,
  hostnames: routeHostnames,
  rules: about(
    'The most specific match decides.',
    where(where(atomic(rule, { maxItems: 16 }), ...boundedMatches), ...uniqueRuleNames),
  ),
});

export interface GrpcRoute extends KubeObject {
  readonly spec: TypeOf<typeof spec>;
  readonly status?: TypeOf<typeof routeStatus>;
}

export const grpcRouteKind: Kind<GrpcRoute> = {
  group: 'gateway.networking.k8s.io',
  version: 'v1',
  kind: 'GRPCRoute',
  plural: 'grpcroutes',
  namespaced: true,
};

export const grpcRoute = gatewayApiKind(grpcRouteKind, {
  description: 'Where gRPC calls go.',
  versions: ['v1'],
  columns: [{ name: 'Hostnames', type: 'string', jsonPath: '.spec.hostnames' }, age],
  spec,
  status: routeStatus,
});
