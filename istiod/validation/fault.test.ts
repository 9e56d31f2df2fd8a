import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultOf } from './fault.ts';

const metadata = { name: 'web', namespace: 'shop', uid: 'u', resourceVersion: '1' };
const rule = (http: unknown) =>
  faultOf({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata,
    spec: { hosts: ['web'], http },
  });
const route = [{ destination: { host: 'web' } }];

test('unknown fields are no fault but of policies, and hide none of the others', () => {
  assert.equal(rule([{ route, later: 1 }]), undefined);
  assert.match(rule([{ later: 1 }])!, /^spec\.http\[0\]: says not where requests go/);
  assert.match(
    rule([{ route, match: [{ later: { a: 1 } }, { later: 2, uri: { regex: '(' } }] }])!,
    /^spec\.http\[0\]\.match\[1\]\.uri/,
  );
  const policy = {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata,
  };
  assert.match(faultOf({ ...policy, spec: { later: null } })!, /^spec\.later/);
});
