/** Tests of test/envoy/outbound.test.ts, which starts them in a network where connections from 127.0.0.9 come to port 15001. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { until } from '../../../common/testing/until.ts';
import { envoyTypes } from '../../../istiod/envoy/types.ts';
import { type EnvoyBed, startEnvoyBed } from '../../../istiod/testing/envoy-bed.ts';
import { podYaml, waypointYaml } from '../../../istiod/testing/manifests.ts';
import { type Follower, followBed, verdicts } from '../accepts.ts';
import { destinationRule, httpRoute, virtualService } from '../cases/case.ts';
import { Echoes } from '../pair/echo.ts';

const captured = '127.0.0.9';
const outside = '10.97.0.1';
/** Addresses, ports by name, and pods. */
const services = {
  web: { at: ['10.96.0.1', 'fd00:96::1'], ports: { http: 80 }, pods: ['web'] },
  v2: { at: ['10.96.0.2'], ports: { http: 80 }, pods: ['v2'] },
  raw: { at: ['10.96.0.3'], ports: { tcp: 82, tls: 83, any: 84 }, pods: ['raw'] },
  db: { at: [], ports: { tcp: 85, any: 86 }, pods: ['db-0', 'db-1'] },
  api: { at: ['10.96.0.6'], ports: { http: 80 }, pods: ['api'], namespace: 'pay' },
  far: { at: ['10.96.0.5'], ports: { http: 80, tcp: 82 }, pods: ['far'], labels: 'istio.io/use-waypoint: waypoint' },
} as const;
const ips: Record<string, string> = {};

function manifests(): string {
  let last = 0;
  const all = [waypointYaml()];
  for (const [name, { at, ports, pods, ...rest }] of Object.entries(services)) {
    const namespace = 'namespace' in rest ? rest.namespace : 'shop';
    const labels = 'labels' in rest ? rest.labels : '';
    const said = Object.entries(ports).map(([port, number]) => `{name: ${port}, port: ${number}}`);
    const addresses = at.length === 0 ? 'clusterIP: None' : `clusterIPs: [${at.map((a) => `"${a}"`).join()}]`;
    all.push(`
kind: Service
metadata: {name: ${name}, namespace: ${namespace}, labels: {${labels}}}
spec: {${addresses}, selector: {app: ${name}}, ports: [${said.join()}]}
`);
    for (const pod of pods) {
      ips[pod] = `10.98.0.${++last}`;
      all.push(podYaml({ name: pod, namespace, app: name, version: 'v1', ip: ips[pod] }));
    }
  }
  return [
    ...all,
    entry(
      'range',
      'addresses: [240.5.0.0/16], resolution: STATIC, ports: [{number: 87, name: tcp, protocol: TCP}, {number: 91, name: http, protocol: HTTP}]',
      ips['raw']!,
    ),
    entry(
      'star',
      `resolution: DYNAMIC_DNS, ports: [{number: 88, name: http, protocol: HTTP}, {number: 89, name: any}]`,
    ),
  ].join('---');
}

const entry = (name: string, spec: string, endpoint?: string) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: shop}
spec: {hosts: ["${name === 'star' ? '*.dynamic.example' : `${name}.example.com`}"], ${spec}${endpoint === undefined ? '' : `, endpoints: [{address: ${endpoint}}]`}}
`;
const sidecar = (spec: string) => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: own}
spec: {${spec}}
`;
const node = (more: object = {}) => ({
  id: 'sidecar~10.98.1.1~client.shop~shop.svc.cluster.local',
  metadata: { NAMESPACE: 'shop', LABELS: { app: 'client' }, ...more },
});

/** The pod that answered, the status, or that the connection was closed. */
function ask(address: string, port: number, host: string, from = captured): Promise<string> {
  return new Promise((resolve) => {
    const sent = request({ host: address, port, localAddress: from, headers: { host }, agent: false }, (answer) => {
      let body = '';
      answer.on('data', (chunk) => {
        body += String(chunk);
      });
      answer.on('end', () => resolve(answer.statusCode === 200 ? body.trim() : String(answer.statusCode)));
    });
    sent.on('error', () => resolve('closed'));
    sent.end();
  });
}

describe('an Envoy to which the kernel leads connections', () => {
  const echoes = new Echoes();
  const greeter = createServer((socket) => socket.on('data', () => socket.end('hello')).on('error', () => undefined));
  let bed: EnvoyBed;
  let follower: Follower;
  before(async () => {
    const yaml = manifests();
    for (const { ports, pods } of Object.values(services))
      for (const pod of pods)
        for (const port of [...Object.values(ports), 87].filter((p) => p !== 83))
          await echoes.listen(pod, ips[pod]!, port);
    for (const port of [80, 90]) await echoes.listen('stranger', outside, port);
    for (const port of [80, 82]) await echoes.listen('node-proxy', '10.96.0.5', port);
    greeter.listen(83, ips['raw']);
    bed = await startEnvoyBed(yaml);
    follower = await followBed(bed, node());
    await becomes('web', '10.96.0.1', 80, 'web');
  });
  after(async () => {
    await follower?.[Symbol.asyncDispose]();
    await echoes[Symbol.asyncDispose]();
    greeter.close();
    bed?.[Symbol.dispose]();
  });
  const becomes = (what: string, ...to: Parameters<typeof ask>) => {
    let last = '';
    const is = async () => {
      last = await ask(...to);
      return last === what;
    };
    return until(`${to.join(' ')} is ${what}`, is).catch((e: unknown) => {
      throw new Error(`${String(e)}: ${last}`);
    });
  };

  test('takes all that it is told', async () => {
    assert.deepEqual(await verdicts(bed, envoyTypes), []);
    const listeners = await follower.envoy.admin('/listeners');
    for (const name of ['virtualOutbound', '0.0.0.0_80', '10.96.0.3_82', '10.96.0.3_84', '0.0.0.0_87'])
      assert.match(listeners, new RegExp(`^${name}::`, 'm'));
    const config = await follower.envoy.admin('/config_dump');
    for (const cluster of ['outbound|80||web.shop.svc.cluster.local', 'PassthroughCluster', 'BlackHoleCluster'])
      assert.ok(config.includes(`"${cluster}"`), cluster);
  });

  test('tells the services of a port by their names and addresses', async () => {
    for (const host of [
      'web.shop.svc.cluster.local',
      'web.shop.svc',
      'web.shop',
      'web:80',
      '10.96.0.1',
      '[fd00:96::1]',
    ])
      assert.equal(await ask('10.96.0.1', 80, host), 'web', host);
    assert.equal(await ask('10.96.0.1', 80, 'v2'), 'v2');
    assert.equal(await ask('10.96.0.1', 80, 'api.pay'), 'api');
    assert.equal(await ask('10.96.0.1', 80, 'api'), '503');
  });

  test('is routed by VirtualServices, HTTPRoutes and subsets', async () => {
    bed.apply(
      destinationRule(
        'subsets: [{ name: one, labels: { version: v1 } }, { name: two, labels: { version: v2 } }]',
        'v2',
      ),
    );
    const to = (subset: string) => virtualService(`{ route: [{ destination: { host: v2, subset: ${subset} } }] }`);
    bed.apply(to('one'));
    await becomes('v2', '10.96.0.1', 80, 'web');
    bed.apply(to('two'));
    await becomes('503', '10.96.0.1', 80, 'web');
    bed.remove('VirtualService', 'shop/web');
    bed.remove('DestinationRule', 'shop/v2');
    bed.apply(httpRoute('{ backendRefs: [{ name: v2, port: 80 }] }'));
    await becomes('v2', '10.96.0.1', 80, 'web');
    bed.remove('HTTPRoute', 'shop/route');
    await becomes('web', '10.96.0.1', 80, 'web');
  });

  test('passes connections to the address that they were for', async () => {
    assert.equal(await ask('10.96.0.3', 82, 'x'), 'raw');
    assert.equal(await ask('240.5.6.7', 87, 'x'), 'raw');
    for (const pod of ['db-0', 'db-1']) {
      assert.equal(await ask(ips[pod]!, 85, 'x'), pod);
      assert.match(await ask(ips[pod]!, 86, 'db'), /^db-[01]$/);
    }
    const stream = (section: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: raw }
spec: { hosts: [raw], ${section} }
`;
    const route = (host: string) => `route: [{ destination: { host: ${host}, port: { number: 80 } } }]`;
    bed.apply(stream(`tcp: [{ match: [{ port: 82 }], ${route('v2')} }]`));
    await becomes('v2', '10.96.0.3', 82, 'x');
    bed.apply(stream(`tls: [{ match: [{ port: 83, sniHosts: [a.example] }], ${route('gone')} }]`));
    await becomes('raw', '10.96.0.3', 82, 'x');
    await until('one name is refused', async () => (await greet('a.example')) === 'closed');
    assert.equal(await greet('b.example'), 'answered');
    bed.remove('VirtualService', 'shop/raw');
    await until('names count no more', async () => (await greet('a.example')) === 'answered');
    bed.apply(
      httpRoute('{ backendRefs: [{ name: raw, port: 82, weight: 0 }] }', { kind: 'TCPRoute', name: 'none', of: 'raw' }),
    );
    await becomes('closed', '10.96.0.3', 82, 'x');
    // A listener that changes closes what comes at that moment; this one is here to stay.
    await until('no listener drains', async () =>
      /total_listeners_draining: 0/.test(await follower.envoy.admin('/stats?filter=listener_manager')),
    );
    assert.equal(await ask('10.96.0.3', 82, 'x'), 'closed');
    bed.remove('TCPRoute', 'shop/none');
    await becomes('raw', '10.96.0.3', 82, 'x');
  });

  test('goes on through an upstream proxy where a rule says so', async () => {
    bed.apply(destinationRule('trafficPolicy: { tunnel: { targetHost: any.tunnelled, targetPort: 99 } }', 'raw'));
    await until('what is passed on comes by CONNECT', async () => {
      echoes.clear();
      assert.match(await ask('10.96.0.3', 82, 'x'), /^(raw|closed)$/);
      const [connect, inside] = echoes.received;
      return connect?.method === 'CONNECT' && connect.path === 'any.tunnelled:99' && inside?.method === 'GET';
    });
    bed.remove('DestinationRule', 'shop/raw');
    await becomes('raw', '10.96.0.3', 82, 'x');
  });

  test('has a listener with HTTP and without where nobody says what a port speaks', async () => {
    assert.equal(await ask('10.96.0.3', 84, 'anything'), 'raw');
    bed.apply(virtualService('{ directResponse: { status: 410 } }', 'raw', 'raw'));
    await becomes('410', '10.96.0.3', 84, 'anything');
    bed.remove('VirtualService', 'shop/raw');
    await becomes('raw', '10.96.0.3', 84, 'anything');
  });

  test('is sent to the address of what is behind a waypoint', async () => {
    assert.equal(await ask('10.96.0.5', 80, 'far'), 'node-proxy');
    assert.equal(await ask('10.96.0.5', 82, 'far'), 'node-proxy');
  });

  test('does with strangers as outboundTrafficPolicy says, of MeshConfig and of its Sidecar', async () => {
    const both = async (request: string, connection: string) => {
      await becomes(request, outside, 80, 'stranger.example');
      await becomes(connection, outside, 90, 'stranger.example');
    };
    await both('stranger', 'stranger');
    bed.configure({ outboundTrafficPolicy: 'REGISTRY_ONLY' });
    await both('502', 'closed');
    assert.equal(await ask(ips['db-1']!, 85, 'x'), 'db-1');
    // Looked up, and nobody there has DNS.
    assert.equal(await ask(outside, 88, 'a.dynamic.example'), '503');
    assert.equal(await ask(outside, 88, 'b.example'), '502');
    bed.apply(sidecar('outboundTrafficPolicy: { mode: ALLOW_ANY }'));
    await both('stranger', 'stranger');
    bed.configure({});
    bed.apply(sidecar('outboundTrafficPolicy: {}'));
    await both('502', 'closed');
    const proxy = (to: string) => sidecar(`outboundTrafficPolicy: { mode: ALLOW_ANY, egressProxy: { ${to} } }`);
    bed.apply(destinationRule('subsets: [{ name: one, labels: { version: v1 } }]', 'v2'));
    bed.apply(proxy('host: v2, subset: one, port: { number: 80 }'));
    await both('v2', 'v2');
    bed.apply(proxy('host: gone.example'));
    await both('503', 'closed');
    bed.remove('DestinationRule', 'shop/v2');
    bed.remove('Sidecar', 'shop/own');
    await both('stranger', 'stranger');
  });

  test('logs as Telemetry asks for clients: what selects it, or is for its namespace', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'aq-outbound-'));
    const file = (name: string) => ({
      ...({ kind: 'file', name, path: join(folder, name), omitsEmpty: false } as const),
      format: { text: `${name} %REQ(:AUTHORITY)% %UPSTREAM_CLUSTER_RAW%` },
    });
    const collector = { kind: 'otlp-logs', name: 'otlp', service: 'api.pay.svc.cluster.local', port: 80 } as const;
    const names = ['wide', 'mine', 'theirs', 'server', 'edge'];
    const providers = [...names.map(file), { ...collector, logName: undefined, text: undefined, labels: {} }];
    const telemetry = (name: string, where: string, match = '', providers = name) => `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: ${name} }
spec: { ${where} accessLogging: [{ ${match} providers: [${providers
      .split(' ')
      .map((n) => `{ name: ${n} }`)
      .join()}] }] }
`;
    const selecting = (app: string) => `selector: { matchLabels: { app: ${app} } },`;
    const logged = (name: string) => {
      const path = join(folder, name);
      return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
    };
    const asks = async (host: string, name: string) => {
      await until(`${name} has ${host}`, async () => {
        assert.match(await ask('10.96.0.1', 80, host), /^(web|closed)$/);
        return logged(name).includes(`${name} ${host} outbound|80||web.shop.svc.cluster.local`);
      });
    };
    try {
      bed.configure({ extensionProviders: providers });
      bed.apply(telemetry('wide', ''));
      await asks('web', 'wide');
      bed.apply(telemetry('theirs', selecting('other')));
      bed.apply(telemetry('edge', 'targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }],'));
      bed.apply(telemetry('server', selecting('client'), 'match: { mode: SERVER },'));
      bed.apply(telemetry('mine', selecting('client'), 'match: { mode: CLIENT },', 'mine otlp'));
      await asks('web.shop', 'mine');
      await until('connections are logged, too', async () => {
        assert.match(await ask('10.96.0.3', 82, 'x'), /^(raw|closed)$/);
        return logged('mine').some((line) => line.endsWith(' outbound|82||raw.shop.svc.cluster.local'));
      });
      assert.deepEqual([logged('theirs'), logged('server'), logged('edge')], [[], [], []]);
      assert.match(await follower.envoy.admin('/config_dump'), /OpenTelemetryAccessLogConfig/);
    } finally {
      for (const name of names) bed.remove('Telemetry', `shop/${name}`);
      bed.configure({});
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('sees the services that egress of its Sidecar names', async () => {
    bed.configure({ outboundTrafficPolicy: 'REGISTRY_ONLY' });
    bed.apply(sidecar('egress: [{ hosts: ["./v2.shop.svc.cluster.local"] }]'));
    await becomes('502', '10.96.0.1', 80, 'web');
    await becomes('closed', '10.96.0.3', 82, 'x');
    assert.equal(await ask('10.96.0.2', 80, 'v2'), 'v2');
    // What is routed to comes along.
    bed.apply(virtualService('{ route: [{ destination: { host: web } }] }', 'v2', 'v2'));
    await becomes('web', '10.96.0.2', 80, 'v2');
    bed.remove('VirtualService', 'shop/v2');
    bed.remove('Sidecar', 'shop/own');
    bed.configure({});
    await becomes('web', '10.96.0.1', 80, 'web');
  });

  test('follows services that come and go', async () => {
    const all = entry('all', 'resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}]', ips['v2']);
    bed.apply(all.replace('all.example.com', '*'));
    bed.apply(entry('named', 'resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}]', ips['v2']));
    await becomes('v2', '10.96.0.1', 80, 'named.example.com');
    bed.remove('ServiceEntry', 'shop/named');
    bed.remove('ServiceEntry', 'shop/all');
    await becomes('stranger', outside, 80, 'stranger.example');
  });
});

describe('an Envoy to which programs connect', () => {
  for (const [name, more] of [
    ['of one family', {}],
    ['of both', { INSTANCE_IPS: '10.98.1.1,fd00::1' }],
  ] as const)
    test(`listens on the loopback: ${name}`, async () => {
      const echoes = new Echoes();
      const bed = await startEnvoyBed(manifests());
      const follower = await followBed(bed, node({ INTERCEPTION_MODE: 'NONE', ...more }));
      try {
        await echoes.listen('web', ips['web']!, 80);
        await echoes.listen('raw', ips['raw']!, 87);
        const to = (host: string, port = 80) => ask('127.0.0.1', port, host, '127.0.0.1');
        await until('web answers', async () => (await to('web')) === 'web');
        assert.equal(await to('x', 87), 'raw');
        assert.equal(await to('stranger.example'), '502');
        assert.deepEqual(await verdicts(bed, envoyTypes), []);
        assert.doesNotMatch(await follower.envoy.admin('/listeners'), /virtualOutbound/);
      } finally {
        await follower[Symbol.asyncDispose]();
        await echoes[Symbol.asyncDispose]();
        bed[Symbol.dispose]();
      }
    });

  test('is transparent where TPROXY leads to it', async () => {
    const bed = await startEnvoyBed(manifests());
    const follower = await followBed(bed, node({ INTERCEPTION_MODE: 'TPROXY', INSTANCE_IPS: 'fd00::1' }));
    try {
      assert.deepEqual(await verdicts(bed, envoyTypes), []);
      assert.match(await follower.envoy.admin('/config_dump'), /"transparent": true/);
    } finally {
      await follower[Symbol.asyncDispose]();
      bed[Symbol.dispose]();
    }
  });
});

/** Whether anybody answers a hello of TLS for that name at port 83. */
async function greet(servername: string): Promise<'answered' | 'closed'> {
  const hello = await new Promise<Buffer>((resolve) => {
    const socket = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _, done) => {
        resolve(chunk);
        done();
      },
    });
    connectTls({ socket, servername }).on('error', () => undefined);
  });
  return await new Promise((resolve) => {
    const socket = connect({ host: '10.96.0.3', port: 83, localAddress: captured });
    socket.on('data', () => {
      resolve('answered');
      socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve('closed'));
    socket.write(hello);
  });
}
