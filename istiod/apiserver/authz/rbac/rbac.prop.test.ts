/** The index, the matching of rules and the check of grants against a reference that looks at everything. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { User } from '../../authn/authenticator.ts';
import type { FeedChange, FeedReader } from '../../controllers/runtime/feed.ts';
import type { Action } from '../authorizer.ts';
import { rbacAuthorizer } from './authorizer.ts';
import { Policy } from './policy.ts';
import { allows, missingFrom } from './rules.ts';
import { type Binding, type PolicyRule, type Role, type Subject, stores } from './types.ts';

const some = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const subset = (...values: readonly string[]) => fc.subarray([...values], { minLength: 1 });
const [groups, resources, verbs, names] = [
  ['', 'apps'],
  ['pods', 'pods/log', 'secrets', 'secrets/log'],
  ['get', 'list'],
  ['a', 'b'],
];
const paths = ['/', '/api', '/api/v1', '/metrics'];

const resourceRule = (wild: readonly string[], wildResources: readonly string[]): fc.Arbitrary<PolicyRule> =>
  fc.record({
    verbs: subset(...verbs, ...wild),
    apiGroups: subset(...groups, ...wild),
    resources: subset(...resources, ...wildResources),
    resourceNames: fc.oneof(fc.constant([]), subset(...names)),
  });
const pathRule = (wild: readonly string[]): fc.Arbitrary<PolicyRule> =>
  fc.record({
    verbs: subset(...verbs, ...wild),
    nonResourceURLs: subset(...paths, ...(wild.length > 0 ? ['*', '/api/*', '/a*'] : [])),
  });
const rule = fc.oneof(resourceRule(['*'], ['*', '*/log']), pathRule(['*']));
const plainRule = fc.oneof(resourceRule([], []), pathRule([]));

/** All there is, with a verb, a group, a resource, a name and a path that no rule names. */
const universe: readonly Action[] = [...verbs, 'other'].flatMap((verb) => [
  ...[...paths, '/api/v2', '/b'].map((path): Action => ({ kind: 'path', verb, path: path === '/' ? '' : path })),
  ...[...groups, 'other'].flatMap((group) =>
    [...resources, 'other', 'other/log', 'pods/other'].flatMap((text) =>
      ['', ...names, 'c'].map((name): Action => {
        const [resource = '', subresource = ''] = text.split('/');
        return { kind: 'resource', verb, group, resource, subresource, namespace: 'n', name };
      }),
    ),
  ),
]);

/** Written without looking at rules.ts: from the documentation of the fields. */
function naive(r: PolicyRule, action: Action): boolean {
  if (!r.verbs.some((v) => v === '*' || v === action.verb)) return false;
  if (action.kind === 'path') {
    const path = action.path === '' ? '/' : action.path;
    return (r.nonResourceURLs ?? []).some((u) =>
      new RegExp(`^${u.replace(/[.]/g, '\\.').replace(/\*$/, '.*')}$`).test(path),
    );
  }
  const full = action.subresource === '' ? action.resource : `${action.resource}/${action.subresource}`;
  const inGroup = (r.apiGroups ?? []).some((g) => g === '*' || g === action.group);
  const inResources = (r.resources ?? []).some(
    (x) => x === '*' || x === full || (action.subresource !== '' && x === `*/${action.subresource}`),
  );
  const named = (r.resourceNames ?? []).length === 0 || (r.resourceNames ?? []).some((n) => n === action.name);
  return inGroup && inResources && named;
}

describe('rules', () => {
  test('allow what the fields say', () => {
    fc.assert(
      fc.property(rule, (r) => {
        for (const action of universe) assert.equal(allows(r, action), naive(r, action), JSON.stringify([r, action]));
      }),
    );
  });

  test('nothing is granted that is not held', () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 4 }), rule, (held, wanted) => {
        const missing = missingFrom(held, [wanted]);
        for (const action of universe) {
          const lacking = naive(wanted, action) && !held.some((h) => naive(h, action));
          if (lacking) assert.ok(missing.length > 0, JSON.stringify(action));
        }
        // What is held together with what is missing is all that was wanted.
        assert.deepEqual(missingFrom([...held, ...missing], [wanted]), []);
      }),
    );
  });

  test('whoever holds all of it may grant it, from however many rules', () => {
    fc.assert(
      fc.property(fc.array(plainRule, { maxLength: 5 }), plainRule, (held, wanted) => {
        const all = universe.every((a) => !naive(wanted, a) || held.some((h) => naive(h, a)));
        // A rule without names is for every name: to hold each name that there is here is not enough.
        if (all) assert.deepEqual(missingFrom(held, [wanted]), []);
      }),
    );
  });
});

describe('the index of bindings', () => {
  const subject: fc.Arbitrary<Subject> = fc.oneof(
    fc.record({ kind: some<'User' | 'Group'>('User', 'Group'), name: some('x', 'y', 'system:serviceaccount:n:x') }),
    fc.record({ kind: fc.constant('ServiceAccount' as const), name: some('x', 'y'), namespace: some('n', 'm') }),
    fc.record({ kind: fc.constant('ServiceAccount' as const), name: some('x', 'y') }),
  );
  const roleRef = fc.record({ kind: some<'Role' | 'ClusterRole'>('Role', 'ClusterRole'), name: some('r', 's') });
  const change = fc.oneof(
    fc.record({
      resource: some(stores.role, stores.clusterRole),
      object: fc.record({ rules: fc.array(rule, { maxLength: 2 }) }),
    }),
    fc.record({
      resource: some(stores.roleBinding, stores.clusterRoleBinding),
      object: fc.record({ subjects: fc.array(subject, { maxLength: 3 }), roleRef }),
    }),
  );
  const step = fc.record({ change, namespace: some('n', 'm'), name: some('r', 's'), deleted: fc.boolean() });
  const user: fc.Arbitrary<User> = fc.record({
    name: some('x', 'y', 'system:serviceaccount:n:x', 'system:serviceaccount:m:y', 'system:serviceaccount:n:'),
    uid: fc.constant(''),
    groups: fc.subarray(['x', 'y']),
    extra: fc.constant({}),
  });

  test('finds what a search of all bindings finds, however they changed', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), user, some('n', 'm', ''), (steps, who, namespace) => {
        const readers = new Map<string, FeedReader>();
        const policy = new Policy({ read: (resource, reader) => void readers.set(resource, reader) });
        const objects = new Map<
          string,
          { readonly resource: string; readonly namespace: string; readonly name: string; readonly object: object }
        >();
        for (const s of steps) {
          const cluster = s.change.resource === stores.clusterRole || s.change.resource === stores.clusterRoleBinding;
          const key = { resource: s.change.resource, namespace: cluster ? '' : s.namespace, name: s.name };
          const id = JSON.stringify(key);
          if (s.deleted && !objects.has(id)) continue;
          const fed: FeedChange = {
            key,
            deleted: s.deleted,
            json: Buffer.alloc(0),
            object: () => s.change.object as unknown as Role,
          };
          readers.get(key.resource)!(fed);
          if (s.deleted) objects.delete(id);
          else objects.set(id, { ...key, object: s.change.object });
        }
        const reference = (action: Action): boolean =>
          [...objects.values()].some(({ resource, namespace: of, object }) => {
            if (resource !== stores.roleBinding && resource !== stores.clusterRoleBinding) return false;
            if (resource === stores.roleBinding && (of !== namespace || namespace === '')) return false;
            const { subjects, roleRef: ref } = object as Binding;
            const bound = (subjects ?? []).some((s) =>
              s.kind === 'Group'
                ? who.groups.includes(s.name)
                : who.name === (s.kind === 'User' ? s.name : `system:serviceaccount:${s.namespace ?? of}:${s.name}`),
            );
            const key =
              ref.kind === 'Role'
                ? { resource: stores.role, namespace: of, name: ref.name }
                : { resource: stores.clusterRole, namespace: '', name: ref.name };
            const role = objects.get(JSON.stringify(key))?.object as Role | undefined;
            return bound && (role?.rules ?? []).some((r) => naive(r, action));
          });
        const authorizer = rbacAuthorizer(policy);
        for (const each of universe) {
          const action = each.kind === 'path' ? each : { ...each, namespace };
          // Paths are of the cluster.
          if (each.kind === 'path' && namespace !== '') continue;
          assert.equal(authorizer.authorize(who, action).kind === 'allowed', reference(action), JSON.stringify(action));
        }
      }),
      { numRuns: 300 },
    );
  });
});
