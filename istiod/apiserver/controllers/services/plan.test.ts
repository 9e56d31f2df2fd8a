import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ServiceSpec } from '../../../../common/kube/kinds/core.ts';
import type { Family } from '../runtime/address-range.ts';
import { planAddresses, planNodePorts } from './plan.ts';

const both: readonly Family[] = ['IPv4', 'IPv6'];
const selector = { app: 'web' };

describe('planAddresses', () => {
  const rows: readonly (readonly [string, ServiceSpec, ServiceSpec | undefined, object])[] = [
    [
      'one address of the first family',
      { selector },
      undefined,
      { kind: 'addresses', policy: 'SingleStack', addresses: [{ family: 'IPv4', address: undefined }] },
    ],
    [
      'of the family asked for',
      { selector, ipFamilies: ['IPv6'] },
      undefined,
      { kind: 'addresses', policy: 'SingleStack', addresses: [{ family: 'IPv6', address: undefined }] },
    ],
    [
      'both, in the order asked for',
      { selector, ipFamilies: ['IPv6'], ipFamilyPolicy: 'PreferDualStack' },
      undefined,
      {
        kind: 'addresses',
        policy: 'PreferDualStack',
        addresses: [
          { family: 'IPv6', address: undefined },
          { family: 'IPv4', address: undefined },
        ],
      },
    ],
    [
      'addresses asked for name the families',
      { selector, clusterIPs: ['fd00:10:96::5', '10.96.0.5'] },
      undefined,
      {
        kind: 'addresses',
        policy: 'RequireDualStack',
        addresses: [
          { family: 'IPv6', address: 'fd00:10:96::5' },
          { family: 'IPv4', address: '10.96.0.5' },
        ],
      },
    ],
    [
      'an update keeps what it leaves out, and gets a second family',
      { selector, ipFamilyPolicy: 'PreferDualStack' },
      { selector, clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7'], ipFamilies: ['IPv4'] },
      {
        kind: 'addresses',
        policy: 'PreferDualStack',
        addresses: [
          { family: 'IPv4', address: '10.96.0.7' },
          { family: 'IPv6', address: undefined },
        ],
      },
    ],
    [
      'an update to one family gives the second back',
      { selector, ipFamilyPolicy: 'SingleStack', clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7', 'fd00:10:96::7'] },
      { selector, clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7', 'fd00:10:96::7'], ipFamilies: ['IPv4', 'IPv6'] },
      { kind: 'addresses', policy: 'SingleStack', addresses: [{ family: 'IPv4', address: '10.96.0.7' }] },
    ],
    [
      'headless',
      { selector, clusterIP: 'None' },
      undefined,
      { kind: 'headless', policy: 'SingleStack', families: ['IPv4'] },
    ],
    [
      'headless without a selector: endpoints of any family',
      { clusterIP: 'None' },
      undefined,
      { kind: 'headless', policy: 'RequireDualStack', families: ['IPv4', 'IPv6'] },
    ],
    ['an external name', { type: 'ExternalName', externalName: 'a.example' }, undefined, { kind: 'none' }],
    [
      'from an external name to addresses',
      { selector, type: 'ClusterIP' },
      { type: 'ExternalName', externalName: 'a.example' },
      { kind: 'addresses', policy: 'SingleStack', addresses: [{ family: 'IPv4', address: undefined }] },
    ],
  ];
  for (const [name, spec, old, expected] of rows) {
    test(name, () => assert.deepEqual(planAddresses(spec, old, both), expected));
  }

  const refusals: readonly (readonly [ServiceSpec, ServiceSpec | undefined, readonly Family[], RegExp])[] = [
    [{ clusterIP: '10.96.0.8' }, { clusterIP: '10.96.0.7' }, both, /may not change once set/],
    [{ clusterIPs: ['10.96.0.8'], ipFamilies: ['IPv6'] }, undefined, both, /expected an IPv6 value/],
    [{ ipFamilies: ['IPv4', 'IPv4'] }, undefined, both, /the same family twice/],
    [{ ipFamilyPolicy: 'RequireDualStack' }, undefined, ['IPv4'], /not configured for dual-stack/],
    [{ ipFamilies: ['IPv6'] }, undefined, ['IPv4'], /IPv6 is not configured/],
    [{ type: 'ExternalName', clusterIP: '10.96.0.8' }, undefined, both, /may not be set when/],
    [{ type: 'NodePort', clusterIP: 'None' }, undefined, both, /may not be set to 'None'/],
    [{ clusterIP: '10.96.0.8', clusterIPs: ['10.96.0.9'] }, undefined, both, /must match/],
  ];
  for (const [spec, old, served, expected] of refusals) {
    test(`refused: ${expected.source}`, () => assert.throws(() => planAddresses(spec, old, served), expected));
  }
});

describe('planNodePorts', () => {
  const port = (over: object = {}) => ({ port: 80, ...over });

  test('a number is kept, found, or given back', () => {
    assert.deepEqual(planNodePorts({ type: 'NodePort', ports: [port()] }, undefined), ['any']);
    assert.deepEqual(
      planNodePorts({ type: 'NodePort', ports: [port()] }, { type: 'NodePort', ports: [port({ nodePort: 30_001 })] }),
      [30_001],
    );
    assert.deepEqual(
      planNodePorts(
        { type: 'ClusterIP', ports: [port({ nodePort: 30_001 })] },
        { type: 'NodePort', ports: [port({ nodePort: 30_001 })] },
      ),
      ['none'],
    );
    assert.deepEqual(
      planNodePorts({ type: 'LoadBalancer', allocateLoadBalancerNodePorts: false, ports: [port()] }, undefined),
      ['none'],
    );
  });

  test('one number for two protocols is fine, for the same one not', () => {
    const dns = [port({ nodePort: 30_053 }), port({ nodePort: 30_053, protocol: 'UDP' })];
    assert.deepEqual(planNodePorts({ type: 'NodePort', ports: dns as never }, undefined), [30_053, 30_053]);
    const twice = [port({ nodePort: 30_053 }), { port: 81, nodePort: 30_053 }];
    assert.throws(() => planNodePorts({ type: 'NodePort', ports: twice }, undefined), /is there twice/);
    assert.throws(() => planNodePorts({ ports: [port({ nodePort: 30_001 })] }, undefined), /may not be used/);
  });
});
