import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseZtunnelDump } from '../ztunnel-config/dump.ts';
import { parseRequest } from './access-log.ts';
import { isWanted, lineOf } from './events.ts';
import { namesIn } from './names.ts';
import { eventOf } from './requests.ts';
import { changes, connectionsOf } from './watch.ts';

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

const seen = (...outbound: readonly object[]) => {
  const read = dump(...outbound);
  return connectionsOf('n', read, namesIn(read));
};

test('a connection opens and closes once, with names and identities', () => {
  const empty = seen();
  const one = seen(connection);
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
  const [event] = changes(new Map(), seen(connection));
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

const line = (change: Partial<Record<'status' | 'agent' | 'id' | 'details', string>> = {}) => {
  const { status = '200 - via_upstream', agent = 'curl/7.88.1', id = 'e2e905d7-1f1b', details = '' } = change;
  return `[2026-11-22T09:39:46.291Z] "GET /x?a=1 HTTP/1.1" ${status}${details} - "-" 0 306 2 1 "-" "${agent}" "${id}" "web" "-" inbound-vip|80|http|web.shop; - 10.1.0.1:80 10.0.0.1:4711 - shop.web.1`;
};

test('a request, by whom, and why it was refused', () => {
  const event = (text: string) => eventOf(text, 'waypoint-1.shop', namesIn(dump()))!;
  assert.equal(
    lineOf(event(line())),
    '= request   client.shop:4711 -> web.shop.svc:80  GET /x?a=1 200 2ms  spiffe://cluster.local/ns/shop/sa/client  e2e905d7-1f1b',
  );
  const refused = event(line({ status: '403 - rbac_access_denied_matched_policy[ns[shop]-policy[p]-rule[0]]' }));
  assert.match(lineOf(refused), /403 2ms .* \(refused by policy ns\[shop\]-policy\[p\]-rule\[0\]\)$/);
  const wanted = (filter: object) => isWanted(refused, filter);
  assert.deepEqual(
    [
      wanted({ from: 'client' }),
      wanted({ namespace: 'shop' }),
      wanted({ to: 'bank' }),
      wanted({ direction: 'inbound' }),
    ],
    [true, true, false, false],
  );
});

test('lines of access logs: what clients write into them moves nothing, and connections are no requests', () => {
  const read = (text: string) => parseRequest(text);
  assert.deepEqual(read(line({ agent: 'a" 1 "b' })), read(line()));
  assert.equal(read(line({ id: '-' }))?.id, '');
  assert.equal(read(line().replace('"GET /x?a=1 HTTP/1.1" 200', '"- - -" 0')), undefined);
  for (const other of ['', '{', '{"a":1}', 'info ready', '[x] "GET']) assert.equal(read(other), undefined, other);
  const json = { response_code: 200, response_flags: '-', response_code_details: 'via_upstream', duration: 2 };
  const ends = { downstream_local_address: '10.1.0.1:80', downstream_remote_address: '10.0.0.1:4711' };
  const rest = { ...json, ...ends, request_id: 'e2e905d7-1f1b', authority: 'web' };
  assert.deepEqual(read(JSON.stringify({ ...rest, request: 'GET /x?a=1 HTTP/1.1' })), read(line()));
  assert.deepEqual(read(JSON.stringify({ ...rest, method: 'GET', path: '/x?a=1' })), read(line()));
});
