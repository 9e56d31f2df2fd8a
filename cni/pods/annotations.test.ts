import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../common/kube/kinds/core.ts';
import { captureWishes } from './annotations.ts';

const wishes = (annotations?: Record<string, string>) => {
  const metadata = { name: 'web', uid: 'u', resourceVersion: '1', ...(annotations && { annotations }) };
  const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [] } };
  return captureWishes(pod);
};

const dns: readonly [string | undefined, boolean, number][] = [
  [undefined, true, 0],
  ['true', true, 0],
  ['false', false, 0],
  ['False', true, 1],
  ['', true, 1],
];
for (const [value, captured, warnings] of dns) {
  test(`dns-capture ${JSON.stringify(value)}: ${captured ? 'captured' : 'left alone'}`, () => {
    const found = wishes(value === undefined ? undefined : { 'ambient.istio.io/dns-capture': value });
    assert.deepEqual([found.dns, found.warnings.length], [captured, warnings]);
    for (const warning of found.warnings) assert.match(warning, /ambient\.istio\.io\/dns-capture/);
  });
}

test('a wish for no inbound capture is answered with a warning, that for the default with none', () => {
  assert.deepEqual(wishes({ 'ambient.istio.io/bypass-inbound-capture': 'false' }).warnings, []);
  const { warnings } = wishes({ 'ambient.istio.io/bypass-inbound-capture': 'true' });
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /ambient\.istio\.io\/bypass-inbound-capture.*captured/);
});
