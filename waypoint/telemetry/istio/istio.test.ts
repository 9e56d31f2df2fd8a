import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, it } from 'node:test';
import { until } from '../../../common/testing/until.ts';
import { metricsPage } from '../../admin/metrics.ts';
import { Rig, router } from '../../testing/rig.ts';

const identity = 'spiffe://cluster.local/ns/shop/sa/reviews';
const metadata = {
  filter_metadata: {
    istio: { services: [{ host: 'reviews.shop.svc.cluster.local', name: 'reviews', namespace: 'shop' }] },
  },
};

function state(key: string, value: string) {
  return {
    object_key: key,
    factory_key: 'envoy.string',
    format_string: { text_format_source: { inline_string: value } },
  };
}

/** What tunnels say of their ends. */
const ends = {
  name: 'ends',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config',
    on_new_connection: [
      state(
        'downstream_peer',
        'k8s.cluster.name=c1,k8s.namespace.name=lies,k8s.deployment.name=client,service.name=client,service.version=v1',
      ),
      state('io.istio.peer_principal', 'spiffe://cluster.local/ns/web/sa/client'),
      state('io.istio.local_principal', 'spiffe://cluster.local/ns/shop/sa/waypoint'),
    ],
  },
};

function stats(more: object = {}) {
  return {
    name: 'istio.stats',
    typed_config: { '@type': 'type.googleapis.com/stats.PluginConfig', reporter: 'SERVER_GATEWAY', ...more },
  };
}

async function waypoint(rig: Rig, more: object = {}): Promise<number> {
  const upstream = await rig.upstream((req, res) => {
    if (req.headers['content-type'] !== 'application/grpc') {
      res.end('hello');
      return;
    }
    req.resume().on('end', () => {
      res.writeHead(200, { 'content-type': 'application/grpc', trailer: 'grpc-status' });
      res.write(Buffer.from([0, 0, 0, 0, 1, 7, 0, 0]));
      res.write(Buffer.from([0, 0, 0]));
      res.addTrailers({ 'grpc-status': '5' });
      res.end();
    });
  });
  rig.good('cluster', {
    name: 'reviews',
    type: 'STATIC',
    http_protocol_options: { enable_trailers: true },
    metadata,
    load_assignment: {
      cluster_name: 'reviews',
      endpoints: [
        {
          lb_endpoints: [
            {
              endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: upstream } } },
              metadata: { filter_metadata: { istio: { workload: 'reviews-v2;shop;reviews;v2;c1', identity } } },
            },
          ],
        },
      ],
    },
  });
  const manager = {
    name: 'hcm',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
      stat_prefix: 'test',
      http_protocol_options: { enable_trailers: true },
      route_config: {
        virtual_hosts: [
          { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'reviews' } }] },
        ],
      },
      http_filters: [stats(more), router],
    },
  };
  rig.good('listener', {
    name: 'in',
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [{ name: 'only', filters: [ends, manager] }],
  });
  return rig.port('in');
}

async function page(rig: Rig): Promise<string> {
  let text = '';
  for await (const part of metricsPage(rig.runtime)) text += part;
  return text;
}

function ask(port: number, headers: Record<string, string> = {}, body?: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const req = request(
      { port, host: '127.0.0.1', method: body ? 'POST' : 'GET', path: '/x', headers, agent: false },
      (res) => {
        res.resume().on('end', resolve);
      },
    );
    req.on('error', reject).end(body);
  });
}

const line = (text: string, metric: string) => text.split('\n').find((l) => l.startsWith(`${metric}{`)) ?? '';

describe("Istio's metrics", () => {
  it('name both ends of a request, with its labels in its order', async () => {
    await using rig = new Rig();
    const port = await waypoint(rig);
    await ask(port);
    const text = await until('the metric', async () => {
      const made = await page(rig);
      return made.includes('istio_requests_total{') ? made : undefined;
    });
    assert.equal(
      line(text, 'istio_requests_total'),
      'istio_requests_total{reporter="waypoint",source_workload="client",source_canonical_service="client",source_canonical_revision="v1",' +
        'source_workload_namespace="web",source_principal="spiffe://cluster.local/ns/web/sa/client",source_app="client",source_version="v1",' +
        `source_cluster="c1",destination_workload="reviews-v2",destination_workload_namespace="shop",destination_principal="${identity}",` +
        'destination_app="reviews",destination_version="v2",destination_service="reviews.shop.svc.cluster.local",' +
        'destination_canonical_service="reviews",destination_canonical_revision="v2",destination_service_name="reviews",' +
        'destination_service_namespace="shop",destination_cluster="c1",request_protocol="http",response_code="200",' +
        'grpc_response_status="",response_flags="-",connection_security_policy="mutual_tls"} 1',
    );
    const buckets = [...text.matchAll(/istio_request_duration_milliseconds_bucket\{.*le="([^"]+)"\}/g)].map(
      (m) => m[1],
    );
    assert.deepEqual(buckets.slice(0, 4), ['0.5', '1', '5', '10']);
    assert.equal(buckets.length, 20);
    assert.match(line(text, 'istio_response_bytes_count'), / 1$/);
    assert.doesNotMatch(text, /istio_request_messages_total\{/);
  });

  it('count messages of gRPC however they are cut, and its status', async () => {
    await using rig = new Rig();
    const port = await waypoint(rig);
    await ask(
      port,
      { 'content-type': 'application/grpc', te: 'trailers' },
      Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9]),
    );
    const text = await until('the metric', async () => {
      const made = await page(rig);
      return made.includes('istio_requests_total{') ? made : undefined;
    });
    assert.match(line(text, 'istio_requests_total'), /request_protocol="grpc".*grpc_response_status="5"/);
    assert.match(line(text, 'istio_request_messages_total'), /\} 2$/);
    assert.match(line(text, 'istio_response_messages_total'), /\} 2$/);
  });

  it('are changed by overrides', async () => {
    await using rig = new Rig();
    const port = await waypoint(rig, {
      metrics: [
        {
          name: 'requests_total',
          dimensions: {
            request_method: 'request.method',
            destination_app: "'x' + request.headers['x-team']",
            none: 'nobody.knows',
          },
          tags_to_remove: ['source_principal'],
        },
        { name: 'response_bytes', drop: true },
      ],
    });
    await ask(port, { 'x-team': 'a' });
    const text = await until('the metric', async () => {
      const made = await page(rig);
      return made.includes('istio_requests_total{') ? made : undefined;
    });
    const counted = line(text, 'istio_requests_total');
    assert.match(counted, /request_method="GET"/);
    assert.match(counted, /destination_app="xa"/);
    assert.match(counted, /none="unknown"/);
    assert.doesNotMatch(counted, /source_principal/);
    assert.match(line(text, 'istio_request_bytes_count'), /source_principal="spiffe/);
    assert.doesNotMatch(text, /istio_response_bytes/);
  });

  it('are refused with an expression that cannot be', async () => {
    await using rig = new Rig();
    await assert.rejects(waypoint(rig, { metrics: [{ dimensions: { a: 'request.' } }] }), /dimensions\[a\]/);
  });
});
