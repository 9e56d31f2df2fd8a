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
    assert.deepEqual([found.wishes.dns, found.warnings.length], [captured, warnings]);
    for (const warning of found.warnings) assert.match(warning, /ambient\.istio\.io\/dns-capture/);
  });
}

test('bypass-inbound-capture: plain text goes straight to the app', () => {
  const name = 'ambient.istio.io/bypass-inbound-capture';
  assert.equal(wishes().wishes.plaintext, 'captured');
  assert.equal(wishes({ [name]: 'false' }).wishes.plaintext, 'captured');
  assert.deepEqual(wishes({ [name]: 'true' }), {
    wishes: { dns: true, plaintext: 'direct', virtualInterfaces: [] },
    warnings: [],
  });
  const odd = wishes({ [name]: 'yes' });
  assert.equal(odd.wishes.plaintext, 'captured');
  assert.match(odd.warnings.join(), /bypass-inbound-capture: "yes" is neither true nor false; inbound .* captured/);
});

test('reroute-virtual-interfaces: a list; what is no name of an interface is left out, and said', () => {
  const name = 'istio.io/reroute-virtual-interfaces';
  const { wishes: found, warnings } = wishes({ [name]: 'k6t-eth0, docker0,,x"; drop,a-name-of-16-char' });
  assert.deepEqual(found.virtualInterfaces, ['k6t-eth0', 'docker0']);
  assert.equal(warnings.length, 2);
  assert.match(warnings[0]!, /reroute-virtual-interfaces: "x\\"; drop" is no name/);
});
