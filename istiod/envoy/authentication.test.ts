/** What the status of a RequestAuthentication says of keys; what proxies are told of them: test/envoy/cases/tokens.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestAuthentication } from '../../common/kube/kinds/security.ts';
import { lookupOf } from '../jwks/resolver.ts';
import { type JwtRule, keyLookups, keyProblems } from './authentication.ts';

const of = (...jwtRules: readonly JwtRule[]): RequestAuthentication => ({
  apiVersion: 'security.istio.io/v1',
  kind: 'RequestAuthentication',
  metadata: { name: 'tokens', namespace: 'shop', uid: '1', resourceVersion: '1' },
  spec: { jwtRules },
});
const fetched = of({ issuer: 'https://a.test', jwksUri: 'https://a.test/keys' }, { jwksUri: 'https://b.test/keys' });

test('keys that cannot be had are told with the rule, its issuer and what becomes of its tokens', () => {
  const problem = 'https://a.test/keys: timed out';
  assert.deepEqual(
    keyProblems(fetched, () => ({ keys: undefined, problem })),
    [
      `jwtRules[0] (https://a.test): ${problem}: its tokens are refused`,
      `jwtRules[1] (any issuer): ${problem}: its tokens are refused`,
    ],
  );
  assert.deepEqual(
    keyProblems(fetched, ({ issuer }) => ({ keys: '{}', problem: issuer === '' ? undefined : problem })),
    [`jwtRules[0] (https://a.test): ${problem}: the keys that were there before hold`],
  );
  assert.deepEqual(
    keyProblems(of({ issuer: 'https://a.test', jwks: 'none' }), () => assert.fail('nothing is to be fetched')),
    ['jwtRules[0] (https://a.test): jwks has no key that can be used: its tokens are refused'],
  );
});

test('keys are looked up where a rule says, or by its issuer, in the time that it gives', () => {
  const rules = of(
    { issuer: 'https://a.test', jwksUri: 'https://a.test/keys', timeout: '1.5s' },
    { issuer: 'https://c.test' },
    { issuer: 'https://d.test', jwks: 'none' },
  );
  const timeouts: number[] = [];
  keyProblems(rules, ({ timeout }) => {
    timeouts.push(timeout);
    return { keys: '{}', problem: undefined };
  });
  assert.deepEqual(timeouts, [1_500, 5_000]);
  assert.deepEqual(keyLookups(rules), [
    lookupOf({ issuer: 'https://a.test', uri: 'https://a.test/keys' }),
    lookupOf({ issuer: 'https://c.test', uri: '' }),
  ]);
  assert.deepEqual(keyLookups(of()), []);
});
