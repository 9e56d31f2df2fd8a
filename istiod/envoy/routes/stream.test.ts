import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tcpRoutesOf } from './stream.ts';
import { clientContext, objects, service, viewOf, waypointContext } from './testing/view.ts';

const services = [
  service('shop/db:tcp=5432'),
  service('shop/db2:tcp=5432'),
  service('shop/tls:tls=443'),
  service('pay/own:tcp=5432'),
];
const db = services[0]!;

function made(yaml: string, of = db, port = 5432) {
  const { routes, problems } = tcpRoutesOf(waypointContext(viewOf(services, objects(yaml)), of, port));
  return {
    routes: routes.map(({ name, sni, destinations, clusters, callers }) => [
      name,
      sni,
      destinations,
      clusters.map((c) => `${c.name.split('|')[3] ?? c.name}*${c.weight}`),
      ...(callers === undefined ? [] : [callers]),
    ]),
    problems: problems.map((p) => [p.kind, p.object.name, p.field]),
  };
}

const vs = (spec: string, host = 'db') => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: vs }
spec: { hosts: [${host}], ${spec} }
---`;
const route = (kind: string, spec: string, { name = kind.toLowerCase(), namespace = 'shop', parent = 'db' } = {}) => `
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace} }
spec: { parentRefs: [{ group: '', kind: Service, name: ${parent}, namespace: shop }], ${spec} }
---`;
const to = (host: string) => `rules: [{ backendRefs: [{ name: ${host}, port: 5432 }] }]`;
const fallback = ['default', [], [], ['db.shop.svc.cluster.local*1']];

describe('connections go', () => {
  test('to the service where nothing says otherwise', () => {
    assert.deepEqual(made(''), { routes: [fallback], problems: [] });
  });

  test('where a VirtualService sends TCP, by weights', () => {
    const { routes } = made(
      vs(
        'tcp: [{ route: [{ destination: { host: db }, weight: 3 }, { destination: { host: db2 }, weight: 1 }, { destination: { host: db }, weight: 0 }] }]',
      ),
    );
    assert.deepEqual(routes, [
      ['shop.vs.tcp.0', [], [], ['db.shop.svc.cluster.local*3', 'db2.shop.svc.cluster.local*1']],
    ]);
  });

  test('by port, gateway and destination, of which the first that matches decides', () => {
    const { routes } = made(
      vs(`tcp: [
        { match: [{ port: 1 }, { gateways: [edge] }], route: [{ destination: { host: gone } }] },
        { match: [{ port: 5432, destinationSubnets: [10.0.0.0/8] }, { destinationSubnets: ['::/0'] }], route: [{ destination: { host: db2 } }] } ]`),
    );
    assert.deepEqual(routes, [
      ['shop.vs.tcp.1.0', [], ['10.0.0.0/8'], ['db2.shop.svc.cluster.local*1']],
      ['shop.vs.tcp.1.1', [], ['::/0'], ['db2.shop.svc.cluster.local*1']],
      fallback,
    ]);
  });

  test('by the name that TLS asks for, before TCP', () => {
    const yaml = vs(
      'tcp: [{ route: [{ destination: { host: tls } }] }], tls: [{ match: [{ sniHosts: [tls.shop.svc.cluster.local], port: 443 }], route: [{ destination: { host: db } }] }]',
      'tls',
    );
    assert.deepEqual(made(yaml, services[2], 443).routes, [
      ['shop.vs.tls.0', ['tls.shop.svc.cluster.local'], [], ['db.shop.svc.cluster.local*1']],
      ['shop.vs.tcp.0', [], [], ['tls.shop.svc.cluster.local*1']],
    ]);
  });

  test('by callers: at a client, and by their namespace at a waypoint, which knows no labels and says so', () => {
    const yaml = vs(
      'tcp: [{ match: [{ sourceLabels: { app: a } }, { sourceNamespace: pay }], route: [{ destination: { host: db2 } }] }]',
    );
    assert.deepEqual(made(yaml), {
      routes: [['shop.vs.tcp.0', [], [], ['db2.shop.svc.cluster.local*1'], 'pay'], fallback],
      problems: [['ineffective', 'vs', 'spec.tcp[0].match[0].sourceLabels']],
    });
    const client = clientContext(viewOf(services, objects(yaml)), db, 5432, 'shop', { app: 'a' });
    assert.deepEqual(
      tcpRoutesOf(client).routes.map((r) => r.name),
      ['shop.vs.tcp.0'],
    );
  });

  test('where a TCPRoute sends them; of two the older one', () => {
    const yaml = route('TCPRoute', to('db2')) + route('TCPRoute', to('db'), { name: 'younger' });
    assert.deepEqual(made(yaml), {
      routes: [['shop.tcproute.0', [], [], ['db2.shop.svc.cluster.local*1']]],
      problems: [],
    });
  });

  test('by the names of a TLSRoute, which puts TCPRoutes aside', () => {
    const yaml =
      route('TCPRoute', to('db2')) + route('TLSRoute', `hostnames: [a.example.com, '*.b.com'], ${to('db2')}`);
    assert.deepEqual(made(yaml), {
      routes: [['shop.tlsroute.0', ['a.example.com', '*.b.com'], [], ['db2.shop.svc.cluster.local*1']], fallback],
      problems: [['shadowed', 'tcproute', 'spec.parentRefs']],
    });
  });

  test('nowhere where nothing has a weight; lost, in part, where a backend is missing', () => {
    const refs = (text: string) => route('TCPRoute', `rules: [{ backendRefs: [${text}] }]`);
    assert.deepEqual(made(refs('{ name: db, port: 5432, weight: 0 }')).routes, [['shop.tcproute.0', [], [], []]]);
    assert.deepEqual(made(refs('{ name: db, port: 5432 }, { name: gone, port: 5432 }')), {
      routes: [['shop.tcproute.0', [], [], ['db.shop.svc.cluster.local*1', 'UnknownService*1']]],
      problems: [['unresolved', 'tcproute', 'spec.rules[0].backendRefs[1].name']],
    });
    assert.deepEqual(made(vs('tcp: [{ route: [{ destination: { host: gone } }] }]')).problems, [
      ['unresolved', 'vs', 'spec.tcp[0].route[0].destination.host'],
    ]);
  });

  test('where routes of their own namespace say, and then by no others', () => {
    const toOwn = 'rules: [{ backendRefs: [{ name: own, namespace: pay, port: 5432 }] }]';
    const tls = route('TLSRoute', `hostnames: [a.b], ${toOwn}`, { namespace: 'pay' });
    const yaml = tls + route('TCPRoute', to('db2'));
    const own = ['own.pay.svc.cluster.local*1'];
    assert.deepEqual(made(yaml), {
      routes: [
        ['pay.tlsroute.0', ['a.b'], [], own, 'pay'],
        ['default.pay', [], [], ['db.shop.svc.cluster.local*1'], 'pay'],
        ['shop.tcproute.0', [], [], ['db2.shop.svc.cluster.local*1']],
      ],
      problems: [],
    });
  });
});
