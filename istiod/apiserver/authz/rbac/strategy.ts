/** What is filled in and checked of roles and bindings beyond their schemas. */
import { isDeepStrictEqual } from 'node:util';
import { isObject } from '../../../../common/kube/schema/validate.ts';
import type { Strategy } from '../../resources/resource.ts';
import type { Cause } from '../../status.ts';
import { type Binding, group, type Role, type Subject } from './types.ts';

export const roleStrategy: Strategy = { validate: (role) => ruleCauses(role as Role, false) };
export const clusterRoleStrategy: Strategy = { validate: (role) => ruleCauses(role as Role, true) };

export const bindingStrategy = (namespaced: boolean): Strategy => ({
  fillIn(binding) {
    const { roleRef, subjects } = binding;
    if (isObject(roleRef) && (roleRef['apiGroup'] ?? '') === '') binding['roleRef'] = { ...roleRef, apiGroup: group };
    if (!Array.isArray(subjects)) return;
    binding['subjects'] = subjects.map((s) =>
      isObject(s) && (s['kind'] === 'User' || s['kind'] === 'Group') && (s['apiGroup'] ?? '') === ''
        ? { ...s, apiGroup: group }
        : s,
    );
  },
  validate(object, old) {
    const binding = object as Binding;
    const { apiGroup, kind } = binding.roleRef;
    const causes: Cause[] = [];
    if (apiGroup !== group) causes.push(unsupported('roleRef.apiGroup', apiGroup, [group]));
    if (!namespaced && kind !== 'ClusterRole') causes.push(unsupported('roleRef.kind', kind, ['ClusterRole']));
    if (old !== undefined && !isDeepStrictEqual((old as Binding).roleRef, binding.roleRef)) {
      const message = `Invalid value: ${JSON.stringify(binding.roleRef)}: cannot change roleRef`;
      causes.push({ reason: 'FieldValueInvalid', field: 'roleRef', message });
    }
    (binding.subjects ?? []).forEach((s, i) => void causes.push(...subjectCauses(s, `subjects[${i}]`, namespaced)));
    return causes;
  },
});

function subjectCauses(
  { kind, apiGroup = '', name, namespace = '' }: Subject,
  at: string,
  namespaced: boolean,
): Cause[] {
  const causes: Cause[] = [];
  const wanted = kind === 'ServiceAccount' ? '' : group;
  if (name === '') causes.push(required(`${at}.name`));
  if (apiGroup !== wanted) causes.push(unsupported(`${at}.apiGroup`, apiGroup, [wanted]));
  if (kind === 'ServiceAccount' && namespace === '' && !namespaced) causes.push(required(`${at}.namespace`));
  return causes;
}

function ruleCauses({ rules }: Role, cluster: boolean): readonly Cause[] {
  return (rules ?? []).flatMap((rule, i): Cause[] => {
    const at = `rules[${i}]`;
    const count = (field: 'apiGroups' | 'resources' | 'resourceNames' | 'nonResourceURLs') => rule[field]?.length ?? 0;
    if (rule.verbs.length === 0) return [required(`${at}.verbs`, 'verbs must contain at least one value')];
    if (count('nonResourceURLs') > 0) {
      const field = `${at}.nonResourceURLs`;
      if (!cluster) return [bad(field, 'namespaced rules cannot apply to non-resource URLs')];
      const mixed = count('apiGroups') + count('resources') + count('resourceNames') > 0;
      return mixed ? [bad(field, 'rules cannot apply to both regular resources and non-resource URLs')] : [];
    }
    return [
      ...(count('apiGroups') > 0
        ? []
        : [required(`${at}.apiGroups`, 'resource rules must supply at least one api group')]),
      ...(count('resources') > 0
        ? []
        : [required(`${at}.resources`, 'resource rules must supply at least one resource')]),
    ];
  });
}

function required(field: string, why = ''): Cause {
  return { reason: 'FieldValueRequired', field, message: `Required value${why === '' ? '' : `: ${why}`}` };
}

function bad(field: string, why: string): Cause {
  return { reason: 'FieldValueInvalid', field, message: `Invalid value: ${why}` };
}

function unsupported(field: string, value: unknown, supported: readonly string[]): Cause {
  const list = supported.map((s) => JSON.stringify(s)).join(', ');
  return {
    reason: 'FieldValueNotSupported',
    field,
    message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${list}`,
  };
}
