import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { VirtualService } from '../../../common/kube/kinds/istio/virtual-service.ts';
import type { GatewayRoute } from './gateway-api/attach.ts';
import { parentStatuses, type RouteConditions, virtualServiceConditions } from './status.ts';
import { objects, service, serviceOf, viewOf } from './testing/view.ts';

const behind = { waypoint: 'shop/waypoint' };
const services = [
  { ...service('shop/web:http=80,tcp-db=5432'), ...behind },
  { ...service('shop/v2:http=80'), ...behind },
  service('pay/api:http=80'),
];
const wild = serviceOf({ name: 'wild', namespace: 'shop', hostname: '*.example.org', kind: 'ServiceEntry', ports: [] });

const short = (conditions: RouteConditions) =>
  [...conditions].flatMap(([type, c]) => (c === undefined ? [] : [`${type}=${c.status} ${c.reason}`]));

function statuses(yaml: string, kind = 'HTTPRoute') {
  const all = objects(yaml);
  const view = viewOf(services, all);
  return all
    .filter((o) => o.kind === kind)
    .map((o) => parentStatuses(view, o as unknown as GatewayRoute).map(({ conditions }) => conditions));
}
const only = (yaml: string, kind = 'HTTPRoute') => statuses(yaml, kind)[0]![0]!;

const route = (parent: string, rules: string, { kind = 'HTTPRoute', name = 'r', namespace = 'shop' } = {}) => `
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace} }
spec: { parentRefs: [${parent}], rules: [${rules}] }
---`;
const toWeb = "{ group: '', kind: Service, name: web, namespace: shop, port: 80 }";
const there = 'backendRefs: [{ name: v2, port: 80 }]';
const fine = ['Accepted=True Accepted', 'ResolvedRefs=True ResolvedRefs', 'ResolvedWaypoints=True ResolvedWaypoints'];

describe('the status of a route', () => {
  test('says that a parent takes it; Gateways are judged by others', () => {
    const [[status, ...more] = []] = statuses(route(`${toWeb}, { name: edge }`, `{ ${there} }`));
    assert.deepEqual([short(status!), more], [fine, []]);
  });

  test('says that a waypoint itself takes no routes, and what to name in its place', () => {
    const gateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: shop }
spec: { gatewayClassName: istio-waypoint, listeners: [] }
---`;
    const conditions = only(gateway + route('{ name: waypoint }', '{ backendRefs: [{ name: gone, port: 80 }] }'));
    assert.deepEqual(short(conditions), ['Accepted=False NotAllowedByListeners', 'ResolvedRefs=False BackendNotFound']);
    assert.match(conditions.get('Accepted')!.message, /name the Service/);
  });

  test('names a parent, or a port of it, that is not there; what the route refers to is judged all the same', () => {
    for (const [parent, message] of [
      ["{ group: '', kind: Service, name: gone }", 'there is no Service shop/gone'],
      ['{ group: networking.istio.io, kind: ServiceEntry, name: gone }', 'there is no ServiceEntry shop/gone'],
      ["{ group: '', kind: Service, name: web, port: 81 }", 'Service shop/web has no port 81'],
      ["{ group: '', kind: Service, name: web, sectionName: x }", 'Service shop/web has no port x'],
    ] as const) {
      const conditions = only(route(parent, '{ backendRefs: [{ name: gone, port: 80 }] }'));
      const { reason, message: said } = conditions.get('Accepted')!;
      assert.deepEqual([reason, said], ['NoMatchingParent', message]);
      assert.equal(conditions.get('ResolvedRefs')?.reason, 'BackendNotFound');
    }
  });

  test('names what it refers to and is not there, or is of another kind', () => {
    for (const [backend, expected] of [
      ['{ name: gone, port: 80 }', 'BackendNotFound'],
      ['{ name: v2, port: 81 }', 'BackendNotFound'],
      ['{ kind: Secret, name: x }', 'InvalidKind'],
    ] as const) {
      const conditions = only(route(toWeb, `{ backendRefs: [${backend}] }`));
      assert.deepEqual(short(conditions), [fine[0], `ResolvedRefs=False ${expected}`, fine[2]]);
      assert.match(conditions.get('ResolvedRefs')!.message, /^spec\.rules\[0\]\.backendRefs\[0\]/);
    }
  });

  test('tells rules that are left out from a route that is', () => {
    const bad = `{ filters: [{ type: ExtensionRef, extensionRef: { group: g, kind: K, name: n } }], ${there} }`;
    const part = only(route(toWeb, `${bad}, { ${there} }`));
    assert.deepEqual(short(part), [fine[0], 'PartiallyInvalid=True UnsupportedValue', fine[1], fine[2]]);
    assert.match(part.get('PartiallyInvalid')!.message, /^Dropped Rule/);
    assert.deepEqual(short(only(route(toWeb, bad))), ['Accepted=False UnsupportedValue', fine[1], fine[2]]);
  });

  test('says which kind comes first where kinds meet at a port', () => {
    const yaml = route(toWeb, `{ ${there} }`) + route(toWeb, `{ ${there} }`, { kind: 'GRPCRoute' });
    assert.equal(only(yaml).get('Accepted')?.reason, 'Conflicted');
    assert.equal(only(yaml, 'GRPCRoute').get('Accepted')?.status, 'True');
    const apart =
      route(toWeb.replace('80', '5432'), `{ ${there} }`) + route(toWeb, `{ ${there} }`, { kind: 'GRPCRoute' });
    assert.equal(only(apart).get('Accepted')?.status, 'True');
  });

  test('says what has no effect: the wrong protocol, no waypoint, sessions', () => {
    const message = (yaml: string, kind = 'HTTPRoute') =>
      only(yaml, kind).get('aquifer.dev/Ineffective')?.message ?? '';
    assert.match(message(route(toWeb.replace('80', '5432'), `{ ${there} }`)), /port 5432 speaks no HTTP/);
    assert.match(message(route(toWeb, `{ ${there} }`, { kind: 'TCPRoute' }), 'TCPRoute'), /port 80 speaks HTTP/);
    const session = `{ sessionPersistence: { type: Cookie, cookie: { name: c }, absoluteTimeout: 1h }, ${there} }`;
    assert.match(message(route(toWeb, session)), /only a session in a permanent cookie ends by time/);
    const outside = only(
      route("{ group: '', kind: Service, name: api, namespace: pay }", '{ backendRefs: [{ name: api, port: 80 }] }', {
        namespace: 'pay',
      }),
    );
    assert.equal(outside.get('ResolvedWaypoints')?.reason, 'MissingUseWaypointLabel');
  });
});

describe('the status of a VirtualService', () => {
  const conditions = (spec: string) => {
    const all = objects(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: vs }
spec: ${spec}`);
    return virtualServiceConditions(viewOf([...services, { ...wild, ...behind }], all), all[0] as VirtualService);
  };

  test('says that what it refers to is there', () => {
    assert.deepEqual(short(conditions('{ hosts: [web], http: [{ route: [{ destination: { host: v2 } }] }] }')), [
      'ResolvedRefs=True ResolvedRefs',
    ]);
  });

  test('names what is not there, once', () => {
    const made = conditions('{ hosts: [web, v2], http: [{ route: [{ destination: { host: gone } }] }] }');
    assert.deepEqual(short(made), ['ResolvedRefs=False BackendNotFound']);
    assert.equal(
      made.get('ResolvedRefs')?.message,
      'spec.http[0].route[0].destination.host: no service of the mesh has the name gone',
    );
  });

  test('names what has no effect', () => {
    const message = (spec: string) => conditions(spec).get('aquifer.dev/Ineffective')?.message ?? '';
    const to = 'route: [{ destination: { host: v2 } }]';
    assert.match(
      message(`{ hosts: [web], http: [{ match: [{ sourceLabels: { a: b } }], ${to} }] }`),
      /sourceLabels: a waypoint/,
    );
    assert.match(
      message(`{ hosts: [web], http: [{ delegate: { name: gone } }] }`),
      /there is no VirtualService shop\/gone/,
    );
    assert.match(message(`{ hosts: [nobody], http: [{ ${to} }] }`), /spec\.hosts\[0\]: no service of the mesh/);
    assert.match(
      message(`{ hosts: [a.example.org], http: [{ ${to} }] }`),
      /ServiceEntry shop\/wild .*routed as a whole/,
    );
    assert.match(message(`{ hosts: [api.pay.svc.cluster.local], http: [{ ${to} }] }`), /behind no waypoint/);
    assert.match(
      message(`{ hosts: [web], tcp: [{ match: [{ sourceLabels: { a: b } }], ${to} }] }`),
      /tcp\[0\]\.match\[0\]/,
    );
  });

  test('says nothing of one for gateways alone, nor of a delegate', () => {
    assert.deepEqual(short(conditions('{ hosts: [web], gateways: [edge], http: [{ delegate: { name: gone } }] }')), []);
    assert.deepEqual(short(conditions('{ http: [{ route: [{ destination: { host: gone } }] }] }')), []);
  });
});
