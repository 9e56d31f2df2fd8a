/** Nobody grants what they do not hold: writes of roles and bindings are checked against the writer's own rules. */
import { isDeepStrictEqual } from 'node:util';
import type { AdmissionPlugin, AdmissionRequest } from '../../admission/admission.ts';
import { forbidden, notFound } from '../../status.ts';
import type { Action, Authorizer } from '../authorizer.ts';
import type { Policy } from './policy.ts';
import { grantLimit, grantsOf, missingFrom, quoted, ruleText } from './rules.ts';
import { type Binding, group, type PolicyRule, type Role } from './types.ts';

const everything: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
];
/** Of those that a refusal lists. */
const listed = 20;

export function escalationCheck(policy: Policy, authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'RbacEscalation',
    validate(request) {
      const { resource, object, subresource } = request;
      if (resource.group !== group || subresource !== '' || object === undefined) return;
      if (resource.resource === 'roles' || resource.resource === 'clusterroles')
        checkRole(policy, authorizer, request, object);
      else checkBinding(policy, authorizer, request, object as Binding);
    },
  };
}

function checkRole(policy: Policy, authorizer: Authorizer, request: AdmissionRequest, role: Role): void {
  const old = request.old as Role | undefined;
  const { rules, aggregationRule } = role;
  const sameRules = old !== undefined && isDeepStrictEqual(old.rules, rules);
  const sameAggregation = old !== undefined && isDeepStrictEqual(old.aggregationRule, aggregationRule);
  if (sameRules && sameAggregation) return;
  if (may(authorizer, request, 'escalate', request.resource.resource, request.name)) return;
  if (aggregationRule !== undefined && !sameAggregation) {
    const missing = missingFrom(held(policy, request), everything);
    if (missing.length > 0) throw refusal(request, 'must have cluster-admin privileges to use the aggregationRule');
  }
  if (!sameRules) checkGrant(policy, request, rules ?? []);
}

function checkBinding(policy: Policy, authorizer: Authorizer, request: AdmissionRequest, binding: Binding): void {
  const old = request.old as Binding | undefined;
  if (old !== undefined && isDeepStrictEqual([old.subjects, old.roleRef], [binding.subjects, binding.roleRef])) return;
  const { kind, name } = binding.roleRef;
  const resource = kind === 'Role' ? 'roles' : 'clusterroles';
  if (may(authorizer, request, 'bind', resource, name)) return;
  const rules = policy.rulesOf(binding.roleRef, request.namespace);
  if (rules === undefined) throw notFound({ group, resource }, name);
  checkGrant(policy, request, rules);
}

function may(
  authorizer: Authorizer,
  { user, namespace }: AdmissionRequest,
  verb: string,
  resource: string,
  name: string,
): boolean {
  const action: Action = { kind: 'resource', verb, group, resource, subresource: '', namespace, name };
  return authorizer.authorize(user, action).kind === 'allowed';
}

function held(policy: Policy, { user, namespace }: AdmissionRequest): readonly PolicyRule[] {
  return [...policy.granted(user, namespace)].flatMap((g) => g.rules);
}

function checkGrant(policy: Policy, request: AdmissionRequest, rules: readonly PolicyRule[]): void {
  const { user } = request;
  if (rules.reduce((n, r) => n + grantsOf(r), 0) > grantLimit)
    throw refusal(
      request,
      `its rules grant more than ${grantLimit} things one by one, which only those who may escalate can write`,
    );
  const missing = missingFrom(held(policy, request), rules);
  if (missing.length === 0) return;
  const more = missing.length > listed ? [`and ${missing.length - listed} more`] : [];
  const texts = [...missing.slice(0, listed).map(ruleText), ...more];
  throw refusal(
    request,
    `user ${JSON.stringify(user.name)} (groups=${quoted(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${texts.join('\n')}`,
  );
}

function refusal({ resource, name }: AdmissionRequest, why: string) {
  return forbidden(resource, name, why);
}
