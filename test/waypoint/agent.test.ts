/** The agent beside a stock Envoy: certificates, xDS with a token that rotates, readiness, metrics, draining. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { certificateService, type PbCertificateRequest, type PbDeltaRequest } from '../../common/api/index.ts';
import { millis } from '../../common/core/brand.ts';
import { LogLevels, type LogSink } from '../../common/core/log.ts';
import { parseIp } from '../../common/core/net.ts';
import { encodeEnvoy, type Typed, typeUrl } from '../../common/envoy/codec.ts';
import { createFakeCa, type FakeCa } from '../../common/testing/fake-ca.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { FakeXds, type FakeXdsStream, resource } from '../../common/testing/fake-xds.ts';
import { freePort } from '../../common/testing/free-port.ts';
import { until } from '../../common/testing/until.ts';
import { type Agent, startAgent } from '../../waypoint/agent/agent.ts';
import type { WaypointConfig } from '../../waypoint/config.ts';
import { envoyPath, skipWithoutEnvoy } from '../harness/envoy.ts';

const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'waypoint' };
const uri = 'URI:spiffe://cluster.local/ns/shop/sa/waypoint';
const clusterType = typeUrl('envoy.config.cluster.v3.Cluster');
const listenerType = typeUrl('envoy.config.listener.v3.Listener');
const patience = 60_000;
/** As istiod calls that of a service's port. */
const manager = 'inbound-vip|80|http|web.shop.svc.cluster.local';

describe('the agent beside Envoy', { skip: skipWithoutEnvoy() }, () => {
  it('brings certificate and configuration, is ready then, renews and drains', async () => {
    await using world = await World.start();
    const { config } = world;

    const stream = await world.xds.stream();
    assert.equal(stream.metadata.get('authorization')[0], 'Bearer token-1');
    const first = await stream.next();
    assert.equal(first.node?.id, `waypoint~127.0.0.1~waypoint-1.shop~shop.svc.cluster.local`);
    assert.match(await world.get(config.statusPort, '/healthz/ready'), /^503 not ready, pending: .*from istiod/);
    const port = await freePort();
    await world.serve(stream, first, { [clusterType]: [], [listenerType]: [tlsListener(port)] });
    await until(
      'the agent is ready',
      async () => (await world.get(config.statusPort, '/healthz/ready')).startsWith('200'),
      patience,
    );

    const before = await until('TLS with the certificate', () => peerCertificate(port), patience);
    assert.equal(before.subjectaltname, uri);
    const metrics = await world.get(config.statsPort, '/stats/prometheus');
    assert.match(metrics, /istio_build\{component="agent"/);
    assert.match(metrics, /^envoy_server_live\{\} 1$/m);
    // Dots in the host name of a service are not the end of a label.
    const labels = `envoy_http_conn_manager_prefix="${manager}"`;
    assert.ok(metrics.includes(`\nenvoy_http_downstream_rq_total{${labels}}`), metrics);
    assert.match(await world.get(config.prometheusPort, '/stats/prometheus'), /envoy_server_live/);

    // Half of its life: a new one is live without a new Envoy, for new connections.
    for (let minute = 0; minute < 14 * 60; minute += 10) world.clock.advance(600_000);
    const after = await until(
      'another certificate',
      async () => {
        const now = await peerCertificate(port);
        return now.serialNumber === before.serialNumber ? undefined : now;
      },
      patience,
    );
    assert.equal(after.subjectaltname, uri);

    // The token changes on disk: the next stream has the new one.
    writeFileSync(world.tokenFile, 'token-2');
    stream.end();
    const second = await world.xds.stream();
    assert.equal(second.metadata.get('authorization')[0], 'Bearer token-2');
    await world.serve(second, await second.next(), { [clusterType]: [], [listenerType]: [tlsListener(port)] });
    assert.equal((await peerCertificate(port)).subjectaltname, uri);

    const ending = world.agent.stop();
    await until(
      'it is not ready any more',
      async () => /^503 .*it ends/.test(await world.get(config.statusPort, '/healthz/ready')),
      patience,
    );
    assert.equal((await peerCertificate(port)).subjectaltname, uri);
    await until('it waits for the end of the drain', () => world.clock.timers > 0 || undefined);
    world.clock.advance(config.drainDuration);
    await ending;
    assert.deepEqual(await world.agent.ended, { code: 0, signal: null });
  });

  it('says why it waits, and ends with an Envoy that cannot run', async () => {
    await using world = await World.start({ xds: 'http://127.0.0.1:1' });
    await until(
      'the reason',
      async () => /UNAVAILABLE/.test(await world.get(world.config.statusPort, '/healthz/ready')),
      patience,
    );
    await using without = await World.start({ envoy: '/no/such/envoy' });
    await assert.rejects(without.agent.ended, /Envoy cannot be started: .*ENOENT/);
  });
});

interface WorldOptions {
  readonly xds?: string;
  readonly envoy?: string;
}

class World implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'aq-wp-'));
  readonly tokenFile = join(this.folder, 'token');
  readonly clock = new FakeClock(Date.now());
  readonly log: string[] = [];
  readonly xds: FakeXds;
  readonly #caServer: Server;
  config!: WaypointConfig;
  agent!: Agent;

  private constructor(xds: FakeXds, caServer: Server) {
    this.xds = xds;
    this.#caServer = caServer;
  }

  static async start({ xds: address, envoy = envoyPath() }: WorldOptions = {}): Promise<World> {
    const ca = await createFakeCa();
    const serving = await ca.issue(identity, { uris: [], dns: ['localhost'] });
    const credentials = ServerCredentials.createSsl(null, [
      { private_key: Buffer.from(serving.privateKey), cert_chain: Buffer.from(serving.chain.join('\n')) },
    ]);
    const xds = await FakeXds.start(0, credentials);
    const { server, port } = await serveCa(ca, credentials);
    const world = new World(xds, server);
    writeFileSync(world.tokenFile, 'token-1');
    writeFileSync(join(world.folder, 'root.pem'), ca.root);
    const plane = {
      roots: { kind: 'file', path: join(world.folder, 'root.pem') },
      token: { kind: 'file', path: world.tokenFile },
      clusterId: 'Kubernetes',
    } as const;
    world.config = {
      podName: 'waypoint-1',
      podNamespace: 'shop',
      serviceAccount: 'waypoint',
      instanceIp: parseIp('127.0.0.1')!,
      otherIps: [],
      domain: 'shop.svc.cluster.local',
      serviceCluster: 'waypoint.shop',
      nodeName: 'node-1',
      clusterId: 'Kubernetes',
      trustDomain: 'cluster.local',
      nodeMetadata: { LABELS: { app: 'waypoint' } },
      xds: { ...plane, address: address ?? `localhost:${xds.port}` },
      ca: { ...plane, address: `localhost:${port}` },
      secretTtl: millis(86_400_000),
      adminPort: await freePort(),
      statsPort: await freePort(),
      statusPort: await freePort(),
      prometheusPort: await freePort(),
      concurrency: 1,
      drainDuration: millis(5_000),
      exitWhenDrained: false,
      series: { idle: millis(3_600_000), limit: 100 },
      configFolder: world.folder,
    };
    const sink: LogSink = {
      levels: new LogLevels('debug'),
      format: 'plain',
      write: (line) => void world.log.push(line),
    };
    const flags = {
      '--domain': undefined,
      '--serviceCluster': undefined,
      '--proxyLogLevel': 'error',
      '--proxyComponentLogLevel': undefined,
      '--log_output_level': undefined,
    };
    world.agent = await startAgent({ config: world.config, flags, envoy, clock: world.clock, sink });
    world.agent.ended.catch(() => undefined);
    return world;
  }

  /** Answers what Envoy asks for of each type, until all of it has been acknowledged. */
  async serve(
    stream: FakeXdsStream,
    first: PbDeltaRequest,
    all: Record<string, readonly (Typed & { name: string })[]>,
  ): Promise<void> {
    let request = first;
    for (const left = new Set(Object.keys(all)); left.size > 0; request = await stream.next()) {
      assert.equal(request.errorDetail?.message ?? '', '');
      const { typeUrl: asked, responseNonce } = request;
      if (responseNonce !== '') {
        left.delete(asked);
        if (left.size === 0) return;
        continue;
      }
      const resources = (all[asked] ?? []).map((r) => resource(r.name, asked, encodeEnvoy(r), '1'));
      stream.send({ typeUrl: asked, nonce: `n-${asked}`, resources, removedResources: [] });
    }
  }

  /** Status and body. */
  async get(port: number, path: string): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    return `${answer.status} ${await answer.text()}`.replace(/^200 (?=#|envoy)/, '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stopping = this.agent.stop();
    // The drain's wait, and the last one.
    for (let i = 0; i < 2; i++) {
      await until('a wait', () => this.clock.timers > 0 || undefined).catch(() => undefined);
      this.clock.advance(10_000);
    }
    await stopping;
    this.agent.close();
    this.xds.kill();
    this.#caServer.forceShutdown();
    rmSync(this.folder, { recursive: true });
  }
}

async function serveCa(ca: FakeCa, credentials: ServerCredentials): Promise<{ server: Server; port: number }> {
  const server = new Server();
  server.addService(certificateService, {
    CreateCertificate(
      call: { request: PbCertificateRequest },
      callback: (error: Error | null, response?: { certChain: readonly string[] }) => void,
    ) {
      ca.sign(call.request.csr, identity).then((leaf) => callback(null, { certChain: [leaf, ca.root] }), callback);
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (e, bound) => (e ? reject(e) : resolve(bound))),
  );
  return { server, port };
}

/** Of the server there. Rejects while nobody answers. */
function peerCertificate(port: number) {
  return new Promise<ReturnType<TLSSocket['getPeerCertificate']>>((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

/** Takes anybody, with the agent's certificate. */
function tlsListener(port: number): Typed & { name: string } {
  const secret = (name: string) => ({
    name,
    sds_config: {
      resource_api_version: 'V3',
      api_config_source: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'sds-grpc' } }],
      },
    },
  });
  const typed = (name: string, fields: object) => ({ '@type': typeUrl(name), ...fields });
  return {
    '@type': listenerType,
    name: 'main',
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [
      {
        transport_socket: {
          name: 'tls',
          typed_config: typed('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext', {
            common_tls_context: {
              tls_certificate_sds_secret_configs: [secret('default')],
              validation_context_sds_secret_config: secret('ROOTCA'),
            },
          }),
        },
        filters: [
          {
            name: 'hcm',
            typed_config: typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
              stat_prefix: manager,
              route_config: {
                virtual_hosts: [
                  {
                    name: 'all',
                    domains: ['*'],
                    routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }],
                  },
                ],
              },
              http_filters: [
                { name: 'router', typed_config: typed('envoy.extensions.filters.http.router.v3.Router', {}) },
              ],
            }),
          },
        ],
      },
    ],
  } as Typed & { name: string };
}
