import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkFields } from '../../../common/envoy/fields.ts';
import { view } from '../../testing/view.ts';
import { judge, readRules } from './rules.ts';

function rules(config: object) {
  const made = checkFields(config, 'RBAC', readRules);
  if (made.kind !== 'ok') throw new Error(made.reason);
  return made.value;
}

const any = { permissions: [{ any: true }], principals: [{ any: true }] };
const get = {
  permissions: [{ header: { name: ':method', string_match: { exact: 'GET' } } }],
  principals: [{ any: true }],
};

describe('RBAC rules', () => {
  it('refuses all when there is no policy to allow, and nothing when there is none to deny', () => {
    assert.deepEqual(judge(rules({}), view()), { allowed: false, policy: undefined });
    assert.deepEqual(judge(rules({ action: 'DENY' }), view()), { allowed: true, policy: undefined });
  });

  it('tells the first policy by name that matched', () => {
    assert.deepEqual(judge(rules({ policies: { b: any, a: get } }), view()), { allowed: true, policy: 'a' });
    assert.deepEqual(judge(rules({ policies: { b: any, a: get } }), view({ method: 'PUT' })), {
      allowed: true,
      policy: 'b',
    });
    assert.deepEqual(judge(rules({ action: 'DENY', policies: { a: get } }), view()), { allowed: false, policy: 'a' });
    assert.deepEqual(judge(rules({ action: 'LOG', policies: { a: get } }), view()), { allowed: true, policy: 'a' });
  });

  it('lets nobody be authenticated without TLS', () => {
    const authenticated = rules({
      policies: { a: { permissions: [{ any: true }], principals: [{ authenticated: {} }] } },
    });
    assert.equal(judge(authenticated, view()).allowed, false);
    const connection = { tls: true, peerCertificate: 'verified', principal: 'spiffe://a/b' } as const;
    assert.equal(judge(authenticated, view({ connection })).allowed, true);
  });

  for (const [what, config, reason] of [
    ['conditions', { policies: { a: { ...any, condition: { id: 1 } } } }, /policies\[a\]\.condition: is not supported/],
    [
      'matchers of extensions',
      { policies: { a: { ...any, permissions: [{ matcher: {} }] } } },
      /permissions\[0\]\.matcher: is not supported/,
    ],
    [
      'policies without permissions',
      { policies: { a: { ...any, permissions: [] } } },
      /policies\[a\]\.permissions: is empty/,
    ],
    ['audit loggers', { audit_logging_options: {} }, /audit_logging_options: is not supported/],
  ] as const) {
    it(`refuses ${what} by name`, () => {
      const made = checkFields(config, 'RBAC', readRules);
      assert.match(made.kind === 'rejected' ? made.reason : 'taken', reason);
    });
  }
});
