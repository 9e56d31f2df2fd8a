import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MeshError } from '../../common/core/errors.ts';
import { UsageError } from '../arguments.ts';
import { parseZtunnelDump } from './dump.ts';
import { directives } from './log.ts';
import { certificateTable, connectionTable, policyTable, serviceTable, workloadTable } from './tables.ts';

const pem = (from: string, to: string, serialNumber = '255') => ({
  pem: '',
  serialNumber,
  validFrom: from,
  expirationTime: to,
});
const now = Date.parse('2026-06-01T00:00:00Z');
const fresh = pem('2026-05-31T00:00:00Z', '2026-06-02T00:00:00Z');

const dump = parseZtunnelDump(
  'test',
  JSON.stringify({
    workloads: [
      {
        uid: 'w2',
        name: 'web',
        namespace: 'shop',
        workloadIps: ['10.0.0.2', 'fd00::2'],
        node: 'n2',
        protocol: 'HBONE',
        status: 'Unhealthy',
        waypoint: { destination: 'shop/waypoint.shop.svc' },
      },
      {
        uid: 'w1',
        name: 'client',
        namespace: 'shop',
        workloadIps: ['10.0.0.1'],
        node: 'n1',
        protocol: 'HBONE',
        status: 'Healthy',
      },
      {
        uid: 'w3',
        name: 'vm',
        namespace: 'far',
        hostname: 'vm.example.com',
        protocol: 'TCP',
        waypoint: { destination: 'n/10.9.9.9' },
      },
    ],
    // As older ones write them.
    services: {
      a: {
        name: 'web',
        namespace: 'shop',
        hostname: 'web.shop.svc',
        vips: ['n/10.1.0.1'],
        endpoints: { w2: { workloadUid: 'w2' }, w1: { workloadUid: 'w1' } },
        waypoint: { destination: 'n/10.1.0.9' },
      },
      b: { name: 'waypoint', namespace: 'shop', hostname: 'waypoint.shop.svc', vips: ['n/10.1.0.9'] },
    },
    policies: [{ name: 'p', namespace: 'shop', action: 'Allow', scope: 'Namespace' }],
    certificates: [
      {
        identity: 'a',
        state: 'Available',
        certChain: [fresh, fresh],
        rootCerts: [pem('2020-01-01T00:00:00Z', '2021-01-01T00:00:00Z')],
      },
      { identity: 'b', state: 'Unavailable: refused', certChain: [], rootCerts: [] },
    ],
    workloadState: {
      x: {
        info: { name: 'client', namespace: 'shop' },
        connections: {
          inbound: [{ src: '10.0.0.2:5', originalDst: 'web.shop.svc', actualDst: '10.0.0.1:80', protocol: 'HBONE' }],
          outbound: [
            { src: '10.0.0.1:6', originalDst: '10.1.0.1:80', actualDst: '[fd00::2]:15008', protocol: 'HBONE' },
          ],
        },
      },
    },
  }),
);

test('workloads are filtered, in order, with the name of their waypoint', () => {
  const rows = workloadTable(dump, {}).rows;
  assert.deepEqual(rows, [
    ['far', 'vm', 'vm.example.com', '', 'NA', 'TCP'],
    ['shop', 'client', '10.0.0.1', 'n1', 'None', 'HBONE'],
    ['shop', 'web', '10.0.0.2,fd00::2', 'n2', 'waypoint', 'HBONE'],
  ]);
  const names = (filter: object) => workloadTable(dump, filter).rows.map((r) => r[1]);
  assert.deepEqual(
    [names({ address: 'FD00::2' }), names({ node: 'N1' }), names({ namespace: 'far' })],
    [['web'], ['client'], ['vm']],
  );
});

test('services count endpoints that are healthy', () => {
  assert.deepEqual(serviceTable(dump, 'shop').rows, [
    ['shop', 'waypoint', '10.1.0.9', 'None', '0/0'],
    ['shop', 'web', '10.1.0.1', 'waypoint', '1/2'],
  ]);
  assert.deepEqual(policyTable(dump, 'SHOP').rows, [['shop', 'p', 'Allow', 'Namespace']]);
});

test('certificates: chain, root, expired, none', () => {
  assert.deepEqual(
    certificateTable(dump, now).rows.map((r) => r.slice(0, 5)),
    [
      ['a', 'Leaf', 'Available', 'true', 'ff'],
      ['a', 'Intermediate', 'Available', 'true', 'ff'],
      ['a', 'Root', 'Available', 'false', 'ff'],
      ['b', 'NA', 'Unavailable', 'false', 'NA'],
    ],
  );
});

test('connections have names, or addresses with --raw', () => {
  assert.deepEqual(connectionTable(dump, { raw: false }).rows, [
    ['client.shop', 'Inbound', 'client.shop:80', 'web.shop:5', 'web.shop.svc', 'HBONE'],
    ['client.shop', 'Outbound', 'client.shop:6', 'web.shop:15008', 'web.shop.svc:80', 'HBONE'],
  ]);
  assert.deepEqual(connectionTable(dump, { raw: true, direction: 'outbound' }).rows[0]?.slice(2, 5), [
    '10.0.0.1:6',
    '[fd00::2]:15008',
    '10.1.0.1:80',
  ]);
});

test('a file that is no dump is named with what was expected', () => {
  for (const text of ['{', '[]', '{"configs":[]}', '{"workloads":7}', '{"workloads":[7]}']) {
    assert.throws(
      () => parseZtunnelDump('f.json', text),
      (e) => e instanceof MeshError && /^f\.json: .*expected/.test(e.message),
    );
  }
  fc.assert(
    fc.property(fc.json(), (text) => {
      try {
        parseZtunnelDump('f', text);
      } catch (e) {
        assert.ok(e instanceof MeshError);
      }
    }),
  );
});

test("levels in Envoy's words become a node proxy's", () => {
  assert.equal(directives('access:debug,info'), 'access=debug,info');
  assert.equal(directives('warning'), 'warn');
  assert.throws(() => directives('access:loud'), UsageError);
});
