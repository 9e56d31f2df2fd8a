import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseZtunnelDump } from '../ztunnel-config/dump.ts';
import { changes, connectionsOf, isWanted, lineOf } from './watch.ts';

const dump = (...outbound: readonly object[]) =>
  parseZtunnelDump(
    't',
    JSON.stringify({
      workloads: [
        {
          uid: 'c',
          name: 'client',
          namespace: 'shop',
          workloadIps: ['10.0.0.1'],
          protocol: 'HBONE',
          serviceAccount: 'client',
          trustDomain: 'cluster.local',
        },
        {
          uid: 'w',
          name: 'web',
          namespace: 'shop',
          workloadIps: ['10.0.0.2'],
          protocol: 'HBONE',
          serviceAccount: 'web',
          trustDomain: 'td',
        },
      ],
      services: [{ name: 'web', namespace: 'shop', hostname: 'web.shop.svc', vips: ['/10.1.0.1'] }],
      workloadState: { c: { info: { name: 'client', namespace: 'shop' }, connections: { outbound } } },
    }),
  );
const connection = { src: '10.0.0.1:5', originalDst: '10.1.0.1:80', actualDst: '10.0.0.2:15008', protocol: 'HBONE' };

test('a connection opens and closes once, with names and identities', () => {
  const empty = connectionsOf('n', dump());
  const one = connectionsOf('n', dump(connection));
  const opened = changes(empty, one);
  assert.deepEqual(opened.map(lineOf), [
    '+ outbound  client.shop:5 -> web.shop.svc:80  HBONE  spiffe://cluster.local/ns/shop/sa/client -> spiffe://td/ns/shop/sa/web',
  ]);
  assert.deepEqual(changes(one, one), []);
  assert.deepEqual(
    changes(one, empty).map((e) => e.event),
    ['close'],
  );
});

test('filters', () => {
  const [event] = changes(new Map(), connectionsOf('n', dump(connection)));
  const wanted = (filter: object) => isWanted(event!, filter);
  assert.deepEqual(
    [wanted({}), wanted({ from: 'sa/client' }), wanted({ to: 'web.shop' }), wanted({ namespace: 'shop' })],
    [true, true, true, true],
  );
  assert.deepEqual(
    [wanted({ from: 'web' }), wanted({ direction: 'inbound' }), wanted({ namespace: 'x' })],
    [false, false, false],
  );
});
