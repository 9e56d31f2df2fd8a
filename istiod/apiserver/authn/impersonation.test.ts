import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Action } from '../authz/authorizer.ts';
import { ApiError } from '../status.ts';
import type { User } from './authenticator.ts';
import { impersonated } from './impersonation.ts';

const caller: User = { name: 'admin', uid: '', groups: ['g'], extra: {} };

/** What was asked, as `group/resource/subresource namespace/name`. */
function asked(headers: readonly string[]): { readonly user: User; readonly actions: readonly string[] } {
  const actions: string[] = [];
  const user = impersonated(caller, headers, (action: Action) => {
    assert.equal(action.kind, 'resource');
    assert.equal(action.verb, 'impersonate');
    if (action.kind === 'resource')
      actions.push(`${action.group}/${action.resource}/${action.subresource} ${action.namespace}/${action.name}`);
  });
  return { user, actions };
}

describe('impersonation', () => {
  test('nobody is somebody else without a header', () => {
    assert.equal(asked(['Accept', '*/*']).user, caller);
  });

  test('each part is asked for, in whatever case the header is', () => {
    const { user, actions } = asked([
      'Impersonate-User',
      'jane',
      'impersonate-group',
      'a',
      'IMPERSONATE-GROUP',
      'b, c',
      'Impersonate-Uid',
      'u',
      'Impersonate-Extra-Acme.com%2FScopes',
      'x',
      'Impersonate-Extra-acme.com%2fscopes',
      'y',
    ]);
    assert.deepEqual(user, {
      name: 'jane',
      uid: 'u',
      groups: ['a', 'b, c', 'system:authenticated'],
      extra: { 'acme.com/scopes': ['x', 'y'] },
    });
    assert.deepEqual(actions, [
      '/users/ /jane',
      '/groups/ /a',
      '/groups/ /b, c',
      'authentication.k8s.io/uids/ /u',
      'authentication.k8s.io/userextras/acme.com/scopes /x',
      'authentication.k8s.io/userextras/acme.com/scopes /y',
    ]);
  });

  test('service accounts have their groups, the anonymous are not authenticated', () => {
    const { user, actions } = asked(['Impersonate-User', 'system:serviceaccount:ns:app']);
    assert.deepEqual(actions, ['/serviceaccounts/ ns/app']);
    assert.deepEqual(user.groups, ['system:serviceaccounts', 'system:serviceaccounts:ns', 'system:authenticated']);
    assert.deepEqual(asked(['Impersonate-User', 'system:anonymous']).user.groups, ['system:unauthenticated']);
  });

  test('what is half said, or twice, or not known, is refused', () => {
    for (const headers of [
      ['Impersonate-Group', 'system:masters'],
      ['Impersonate-Uid', 'u'],
      ['Impersonate-Extra-a', 'b'],
      ['Impersonate-User', ''],
      ['Impersonate-User', 'a', 'Impersonate-User', 'b'],
      ['Impersonate-User', 'a', 'Impersonate-Groups', 'b'],
      ['Impersonate-User', 'a', 'Impersonate-Extra-', 'b'],
      ['Impersonate-User', 'a', 'Impersonate-Extra-%zz', 'b'],
    ]) {
      assert.throws(
        () => asked(headers),
        (e) => e instanceof ApiError && e.status.code === 400,
        headers.join(' '),
      );
    }
  });

  test('nothing of the other is had that was not asked for', () => {
    const header = fc.tuple(
      fc.constantFrom('Impersonate-User', 'impersonate-group', 'Impersonate-UID', 'Impersonate-Extra-k', 'X-Other'),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(header, { maxLength: 6 }), (headers) => {
        try {
          const { user, actions } = asked(headers.flat());
          if (user === caller) return;
          for (const group of user.groups) {
            const free =
              group === 'system:authenticated' ||
              group.startsWith('system:serviceaccounts') ||
              group === 'system:unauthenticated';
            assert.ok(free || actions.includes(`/groups/ /${group}`), group);
          }
          assert.ok(actions.length > 0);
        } catch (e) {
          assert.ok(e instanceof ApiError, String(e));
        }
      }),
    );
  });
});
