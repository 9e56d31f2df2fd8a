/**
 * A plain Envoy that is no waypoint and whose listener is its own: it asks istiod for the routes of a service by name, then for the
 * clusters that they send to, on demand.
 */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { createFakeCa } from '../../common/testing/fake-ca.ts';
import { until } from '../../common/testing/until.ts';
import { type EnvoyBed, startEnvoyBed } from '../../istiod/testing/envoy-bed.ts';
import { TestCredentials } from '../../istiod/testing/test-credentials.ts';
import { Envoy, skipWithoutEnvoy } from '../harness/envoy.ts';
import { h2Cluster } from './accepts.ts';
import { destinationRule, httpRoute, virtualService } from './cases/case.ts';
import { Echoes } from './pair/echo.ts';
import { serviceOf, startMesh } from './pair/mesh.ts';

const http = 'envoy.extensions.filters.http';
const ads = { ads: {}, resource_api_version: 'V3' };

/** A listener for each of these, with the routes that istiod has under that name. */
const asked = {
  web: 'outbound|80||web.shop.svc.cluster.local',
  api: 'outbound|9000||api.pay.svc.cluster.local',
  gone: 'outbound|80||gone.shop.svc.cluster.local',
  port: 'outbound|81||api.pay.svc.cluster.local',
  six: 'outbound|80||six.example.com',
  range: 'outbound|80||range.example.com',
  form: 'inbound-vip|80|http|web.shop.svc.cluster.local',
} as const;

function listener([name, routes]: readonly [string, string]) {
  const filter = (type: string, config: object = {}) => ({
    name: type,
    typed_config: { '@type': `type.googleapis.com/${http}.${type}`, ...config },
  });
  const manager = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: name,
    rds: { config_source: { ...ads, initial_fetch_timeout: '1s' }, route_config_name: routes },
    http_filters: [
      filter('on_demand.v3.OnDemand', { odcds: { source: ads, timeout: '1s' } }),
      filter('fault.v3.HTTPFault'),
      filter('cors.v3.Cors'),
      filter('router.v3.Router'),
    ],
  };
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }],
  };
}

const entry = (name: string, address: string) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, labels: { istio.io/use-waypoint: waypoint } }
spec: { hosts: [${name}.example.com], addresses: ["${address}"], resolution: STATIC, ports: [{ number: 80, name: http }], endpoints: [{ address: 192.0.2.1 }] }
`;

describe('a plain Envoy', { skip: skipWithoutEnvoy() }, () => {
  const echoes = new Echoes();
  const credentials = new TestCredentials();
  let bed: EnvoyBed;
  let envoy: Envoy;
  before(async () => {
    bed = await startEnvoyBed(
      [await startMesh(echoes), entry('six', 'fd00:5::1'), entry('range', '240.5.0.0/16')].join('---'),
      { credentials },
    );
    envoy = await Envoy.start({
      node: {
        id: 'sidecar~127.0.0.1~client.shop~shop.svc.cluster.local',
        cluster: 'test',
        metadata: { NAMESPACE: 'shop', LABELS: { app: 'client' } },
      },
      dynamic_resources: {
        ads_config: {
          api_type: 'DELTA_GRPC',
          transport_api_version: 'V3',
          grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
        },
      },
      static_resources: { clusters: [h2Cluster('xds', bed.port)], listeners: Object.entries(asked).map(listener) },
    });
  });
  after(async () => {
    await envoy?.stop();
    await echoes[Symbol.asyncDispose]();
    bed?.[Symbol.dispose]();
  });

  /** The service that answered, or the status. */
  async function ask(to: keyof typeof asked, path = '/'): Promise<string> {
    const port = await envoy.port(to);
    return new Promise((resolve, reject) => {
      const sent = request(
        { port, host: '127.0.0.1', path, headers: { host: to, 'x-key': 'k' }, agent: false },
        (answer) => {
          let body = '';
          answer.on('data', (chunk) => {
            body += String(chunk);
          });
          answer.on('end', () =>
            resolve(answer.statusCode === 200 ? serviceOf(body.trim()) : String(answer.statusCode)),
          );
        },
      );
      sent.on('error', reject);
      sent.end();
    });
  }
  const becomes = (what: string, to: keyof typeof asked, path = '/') =>
    until(`${to}${path} is ${what}`, async () => (await ask(to, path)) === what);

  test('gets what is behind no waypoint, and nothing for names of nobody', async () => {
    await becomes('api', 'api');
    assert.equal(await ask('gone'), '404');
    assert.equal(await ask('port'), '404');
    assert.equal(await ask('form'), '404');
  });

  test('is routed as its own labels and namespace say', async () => {
    const api = 'api.pay.svc.cluster.local';
    const to = (subset: string) => `route: [{ destination: { host: ${api}, subset: ${subset} } }]`;
    const objects = `${virtualService(
      `{ match: [{ sourceLabels: { app: other } }], directResponse: { status: 410 } }, { match: [{ sourceNamespace: pay }], directResponse: { status: 410 } },
       { match: [{ uri: { prefix: /v1 }, sourceLabels: { app: client } }], ${to('v1')} }, { match: [{ uri: { prefix: /none } }], ${to('none')} }, { route: [{ destination: { host: ${api} } }] }`,
      'api',
      api,
    )}${['client', 'other']
      .map((app) =>
        destinationRule(
          `workloadSelector: { matchLabels: { app: ${app} } }, subsets: [{ name: v1, labels: { version: v1 } }], trafficPolicy: { ${app === 'other' ? 'tls: { mode: SIMPLE }' : 'loadBalancer: { consistentHash: { httpHeaderName: x-key } }'} }`,
          app,
        ).replace(`host: ${app}`, `host: ${api}`),
      )
      .join('')}`;
    bed.apply(objects);
    await becomes('api', 'api', '/v1');
    await becomes('503', 'api', '/none');
    assert.equal(await ask('api'), 'api');
    bed.remove('VirtualService', 'shop/api');
    bed.remove('DestinationRule', 'shop/client');
    bed.remove('DestinationRule', 'shop/other');
  });

  test('has routes of its own namespace before those of the service', async () => {
    const theirs = (namespace: string, name: string, spec: string) =>
      httpRoute(spec, { name, namespace }).replace('name: web, namespace: shop }]', 'name: api, namespace: pay }]');
    bed.apply(
      theirs('pay', 'theirs', '{ filters: [{ type: RequestRedirect, requestRedirect: { statusCode: 302 } }] }'),
    );
    await becomes('302', 'api');
    bed.apply(theirs('shop', 'own', '{ backendRefs: [{ name: api, namespace: pay, port: 9000 }] }'));
    await becomes('api', 'api');
    bed.remove('HTTPRoute', 'pay/theirs');
    bed.remove('HTTPRoute', 'shop/own');
  });

  test('is sent to what is no HTTP and to nobody as routes say, and by TLS with authorities from Secrets', async () => {
    const api = 'api.pay.svc.cluster.local';
    bed.apply(
      virtualService(
        `{ match: [{ uri: { prefix: /raw } }], route: [{ destination: { host: raw, port: { number: 82 } } }] }, { match: [{ uri: { prefix: /gone } }], route: [{ destination: { host: gone } }] }, { route: [{ destination: { host: ${api} } }] }`,
        'api',
        api,
      ),
    );
    await becomes('503', 'api', '/gone');
    void ask('api', '/raw').catch(() => undefined);
    await until('the cluster of the other port', async () =>
      (await envoy.admin('/clusters')).includes('outbound|82||raw'),
    );
    const rule = (policy: string) =>
      destinationRule(`trafficPolicy: { ${policy} }`, 'api').replace('host: api', `host: ${api}`);
    bed.apply(rule('outlierDetection: {}, loadBalancer: { localityLbSetting: { failoverPriority: [app] } }'));
    await becomes('api', 'api');
    // Nobody there speaks TLS.
    const tls = (text: string) => rule(`tls: { ${text} }, connectionPool: { tcp: { connectTimeout: 100ms } }`);
    bed.apply(tls('mode: SIMPLE, credentialName: bank'));
    await becomes('503', 'api');
    const ca = await createFakeCa();
    credentials.secrets.set('shop/bank', { 'ca.crt': ca.root });
    bed.looked('secret shop/bank');
    await until('authorities', async () => (await envoy.admin('/config_dump')).includes('kubernetes://bank-cacert'));
    const own = await ca.issue({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'client' });
    credentials.readers.add('shop/waypoint');
    credentials.secrets.set('shop/pair', {
      'tls.crt': own.chain.join(''),
      'tls.key': own.privateKey,
      'ca.crt': ca.root,
    });
    bed.apply(tls('mode: MUTUAL, credentialName: pair'));
    await until('a key', async () => (await envoy.admin('/config_dump')).includes('"kubernetes://pair"'));
    bed.remove('DestinationRule', 'shop/api');
    bed.remove('VirtualService', 'shop/api');
    await becomes('api', 'api');
  });

  test('sees what its Sidecar lets it see', async () => {
    const sidecar = (hosts: string) => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: own }
spec: { egress: [{ hosts: [${hosts}] }] }
`;
    await becomes('api', 'api');
    bed.apply(sidecar('"./*"'));
    await becomes('404', 'api');
    bed.apply(sidecar('"pay/*.pay.svc.cluster.local"'));
    await becomes('api', 'api');
    bed.apply(sidecar('"~/*"'));
    await becomes('404', 'api');
    bed.apply(sidecar('"*/*"').replace('hosts', 'port: { number: 81 }, hosts'));
    await becomes('404', 'api');
    bed.remove('Sidecar', 'shop/own');
    await becomes('api', 'api');
  });

  test('is sent to the address of what is behind a waypoint, where a node proxy leads it there', async () => {
    // Nobody takes it on this machine.
    for (const to of ['web', 'six'] as const) void ask(to).catch(() => undefined);
    // A range is no address to connect to.
    await becomes('503', 'range');
    await until(
      'its address',
      async () =>
        (await envoy.admin('/config_dump?resource=dynamic_endpoint_configs&include_eds')).match(
          /"(10.96.0.1|fd00:5::1)"/g,
        )?.length === 2,
    );
  });
});
