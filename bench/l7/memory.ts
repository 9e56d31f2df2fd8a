/**
 * `npm run bench -- l7 --memory`: resident memory of our waypoint and of Envoy with one cluster and with a thousand, from the same
 * bootstrap; and after a request to each cluster. The goals: 1.5 times Envoy's with a thousand clusters, 130 MB idle.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../common/testing/until.ts';
import { Envoy } from '../../test/harness/envoy.ts';
import { usageOf } from '../process-tree.ts';
import { printTable, writeResults } from '../table.ts';

const type = (name: string) => `type.googleapis.com/${name}`;
const clusters = 1_000;

interface Measured {
  readonly loaded: number;
  readonly used: number;
}

export async function benchL7Memory(): Promise<void> {
  const server = createServer((_, answer) => answer.end('ok'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const upstream = (server.address() as AddressInfo).port;
  try {
    const ours = { one: await measureOurs(1, upstream), many: await measureOurs(clusters, upstream) };
    const envoy = { one: await measureEnvoy(1, upstream), many: await measureEnvoy(clusters, upstream) };
    const row = (name: string, pick: (all: typeof ours) => number) => ({
      name,
      unit: 'MB',
      digits: 0,
      values: [ours, envoy].map(pick),
    });
    printTable(
      ['ours', 'Envoy'],
      [
        row('idle, 1 cluster', (all) => all.one.loaded),
        row(`${clusters} clusters of 5 hosts`, (all) => all.many.loaded),
        row('after a request to each', (all) => all.many.used),
      ],
    );
    await writeResults('l7-memory', { clusters, ours, envoy });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function measureOurs(count: number, upstream: number): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'aq-l7-'));
  const port = await freePort();
  const file = join(folder, 'bootstrap.json');
  writeFileSync(file, JSON.stringify(bootstrapOf(count, port, upstream)));
  const child = spawn(join(import.meta.dirname, '../../bin/waypoint'), ['--bootstrap', file], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    return await measure(child.pid!, count, port, () => child.exitCode === null);
  } finally {
    await ended(child);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measureEnvoy(count: number, upstream: number): Promise<Measured> {
  const port = await freePort();
  await using envoy = await Envoy.start(bootstrapOf(count, port, upstream));
  return await measure(envoy.pid, count, port, () => true);
}

async function measure(pid: number, count: number, port: number, runs: () => boolean): Promise<Measured> {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  await until('the listener accepts', async () => {
    if (!runs()) throw new Error('the waypoint ended');
    return (await ask(agent, port, '/none').catch(() => 0)) === 404;
  });
  const loaded = usageOf([pid]).rssMb;
  const lanes = Array.from({ length: 4 }, async (_, lane) => {
    for (let i = lane; i < count; i += 4) {
      const status = await ask(agent, port, `/service-${i}/`);
      if (status !== 200) throw new Error(`a request to cluster ${i} ended with ${status}`);
    }
  });
  await Promise.all(lanes);
  agent.destroy();
  return { loaded, used: usageOf([pid]).rssMb };
}

function ask(agent: Agent, port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, agent }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode ?? 0));
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Clusters as istiod makes them for services, but for hosts that are dialled in plain text. */
function bootstrapOf(count: number, port: number, upstream: number) {
  const names = Array.from({ length: count }, (_, i) => `service-${i}`);
  const manager = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
  const routes = names.map((name) => ({ match: { prefix: `/${name}/` }, route: { cluster: clusterName(name) } }));
  return {
    static_resources: {
      clusters: names.map((name) => clusterOf(clusterName(name), upstream)),
      listeners: [
        {
          name: 'all',
          address: { socket_address: { address: '127.0.0.1', port_value: port } },
          filter_chains: [
            {
              filters: [
                {
                  name: 'http',
                  typed_config: {
                    '@type': type(manager),
                    stat_prefix: 'all',
                    route_config: { name: 'all', virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
                    http_filters: [
                      {
                        name: 'router',
                        typed_config: { '@type': type('envoy.extensions.filters.http.router.v3.Router') },
                      },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
    },
  };
}

function clusterName(name: string): string {
  return `inbound-vip|80|http|${name}.shop.svc.cluster.local`;
}

function clusterOf(name: string, upstream: number) {
  const all = 4_294_967_295;
  const options = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  // Five hosts that are one server: 127.0.0.1 by its real port, the others are out of use.
  const endpoint = (address: string, health: string) => ({
    endpoint: { address: { socket_address: { address, port_value: upstream } } },
    health_status: health,
  });
  return {
    name,
    type: 'STATIC',
    connect_timeout: '10s',
    lb_policy: 'LEAST_REQUEST',
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
    circuit_breakers: {
      thresholds: [
        { max_connections: all, max_pending_requests: all, max_requests: all, max_retries: all, track_remaining: true },
      ],
    },
    outlier_detection: { consecutive_5xx: 5 },
    typed_extension_protocol_options: {
      [options]: {
        '@type': type(options),
        use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [
        {
          lb_endpoints: [
            endpoint('127.0.0.1', 'HEALTHY'),
            ...[2, 3, 4, 5].map((i) => endpoint(`127.0.0.${i}`, 'UNHEALTHY')),
          ],
        },
      ],
    },
  };
}
