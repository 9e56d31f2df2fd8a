/** authorization.k8s.io/v1: may somebody do something, and what may the caller do. `kubectl auth can-i`. */
import type { User } from '../authn/authenticator.ts';
import type { ResourceApiRequest } from '../http/api-request.ts';
import type { ApiObject } from '../objects.ts';
import type { Part } from '../part.ts';
import type { Resource } from '../resources/resource.ts';
import { readReview } from '../rest/review.ts';
import { badRequest, type Cause, invalid } from '../status.ts';
import { type Action, type Authorizer, administrators } from './authorizer.ts';
import type { Policy } from './rbac/policy.ts';
import type { PolicyRule } from './rbac/types.ts';

interface Spec {
  readonly resourceAttributes?: Readonly<
    Partial<Record<'namespace' | 'verb' | 'group' | 'resource' | 'subresource' | 'name', string>>
  >;
  readonly nonResourceAttributes?: { readonly path?: string; readonly verb?: string };
  readonly user?: string;
  readonly groups?: readonly string[];
  readonly uid?: string;
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

type Answer = (review: ApiObject, request: ResourceApiRequest, resource: Resource) => object;

export function accessReviews(authorizer: Authorizer, policy: Policy): NonNullable<Part['endpoints']> {
  const decide = (user: User, action: Action): object => {
    const decision = authorizer.authorize(user, action);
    return { allowed: decision.kind === 'allowed', ...(decision.reason === '' ? {} : { reason: decision.reason }) };
  };
  const answers: Readonly<Record<string, Answer>> = {
    subjectaccessreviews: ({ spec }, _request, resource) =>
      decide(subjectOf(spec as Spec, resource), actionOf(spec as Spec, resource)),
    localsubjectaccessreviews({ spec }, request, resource) {
      const { resourceAttributes } = spec as Spec;
      const { namespace } = request.info;
      if (resourceAttributes === undefined)
        throw mistake(
          resource,
          'spec.resourceAttributes',
          'FieldValueRequired',
          'must be specified: paths have no namespace',
        );
      if (resourceAttributes.namespace !== namespace)
        throw mistake(
          resource,
          'spec.resourceAttributes.namespace',
          'FieldValueInvalid',
          `must match metadata.namespace: ${namespace}`,
        );
      return decide(subjectOf(spec as Spec, resource), actionOf(spec as Spec, resource));
    },
    selfsubjectaccessreviews: ({ spec }, { user }, resource) => decide(user, actionOf(spec as Spec, resource)),
    selfsubjectrulesreviews({ spec }, { user }) {
      const { namespace = '' } = spec as { readonly namespace?: string };
      if (namespace === '') throw badRequest('no namespace on request');
      return rulesOf(user, namespace, policy);
    },
  };
  return Object.entries(answers).map(([resource, answer]) => ({
    of: { group: 'authorization.k8s.io', resource },
    subresource: '',
    describe: () => undefined,
    async handle(request, served) {
      const review = await readReview(request, served);
      return { kind: 'value', code: 201, value: { ...review, status: answer(review, request, served) } };
    },
  }));
}

function actionOf({ resourceAttributes: resource, nonResourceAttributes: path }: Spec, of: Resource): Action {
  if ((resource === undefined) === (path === undefined))
    throw mistake(
      of,
      'spec.resourceAttributes',
      'FieldValueInvalid',
      'exactly one of nonResourceAttributes or resourceAttributes must be specified',
    );
  if (path !== undefined) return { kind: 'path', verb: path.verb ?? '', path: (path.path ?? '').replace(/\/+$/, '') };
  const { verb = '', group = '', resource: name = '', subresource = '', namespace = '', name: object = '' } = resource!;
  return { kind: 'resource', verb, group, resource: name, subresource, namespace, name: object };
}

function subjectOf({ user = '', groups = [], uid = '', extra = {} }: Spec, resource: Resource): User {
  if (user === '' && groups.length === 0)
    throw mistake(resource, 'spec.user', 'FieldValueInvalid', 'at least one of user or group must be specified');
  return { name: user, groups, uid, extra };
}

function mistake({ group, kind }: Resource, field: string, reason: Cause['reason'], message: string) {
  return invalid(group, kind, '', [{ reason, field, message }]);
}

const all: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
];

function rulesOf(user: User, namespace: string, policy: Policy): object {
  const missing = new Set<string>();
  const held = [...policy.granted(user, namespace, (text) => void missing.add(text))].flatMap((g) => g.rules);
  // Administrators need no role.
  const rules = user.groups.includes(administrators) && held.length === 0 ? all : held;
  const resourceRules: object[] = [];
  const nonResourceRules: object[] = [];
  for (const { verbs, apiGroups, resources, resourceNames, nonResourceURLs } of rules) {
    if ((resources?.length ?? 0) > 0) resourceRules.push({ verbs, apiGroups, resources, resourceNames });
    if ((nonResourceURLs?.length ?? 0) > 0) nonResourceRules.push({ verbs, nonResourceURLs });
  }
  const evaluationError = [...missing].join(', ');
  return { resourceRules, nonResourceRules, incomplete: false, ...(evaluationError === '' ? {} : { evaluationError }) };
}
