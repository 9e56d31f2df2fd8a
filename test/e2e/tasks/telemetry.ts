/** Istio's tasks of telemetry, at a waypoint: metrics asked of a real Prometheus, and changed, and access logs, by the Telemetry resource. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { until } from '../../../common/testing/until.ts';
import { checkout, patience, type Shop } from '../shop.ts';

const telemetry = (spec: string) => `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: task, namespace: shop }
spec: { ${spec} }
`;

const mesh = `
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    extensionProviders:
    - name: text-file
      envoyFileAccessLog: { path: /dev/stdout, logFormat: { text: "task %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE%\\n" } }
    - name: json-file
      envoyFileAccessLog: { path: /dev/stdout, logFormat: { labels: { task: "%REQ(:PATH)%", status: "%RESPONSE_CODE%" } } }
`;

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

/** Of the waypoint's pods alone: Debian's Prometheus is built without Kubernetes. */
function prometheus(addresses: readonly string[]): string {
  const targets = addresses.filter((ip) => !ip.includes(':')).map((ip) => `${ip}:15020`);
  const config = {
    global: { scrape_interval: '1s' },
    scrape_configs: [{ job_name: 'waypoint', metrics_path: '/stats/prometheus', static_configs: [{ targets }] }],
  };
  const documents = parseAllDocuments(readFileSync(join(checkout, 'dashboards/prometheus.yaml'), 'utf8'));
  const map = documents.find((d) => d.get('kind') === 'ConfigMap')!;
  map.setIn(['data', 'prometheus.yml'], JSON.stringify(config));
  return documents.map(String).join('---\n');
}

export function telemetryTasks(shop: () => Shop): void {
  const during = async (objects: string, work: () => Promise<void>) => {
    await shop().apply(objects);
    try {
      await work();
    } finally {
      await shop().delete(objects);
    }
  };
  const query = async (expr: string): Promise<readonly Series[]> => {
    const [pod] = await shop().lab.podsOf('istio-system/prometheus');
    const url = `http://${pod?.status?.podIP}:9090/api/v1/query?query=${encodeURIComponent(expr)}`;
    const { stdout } = await shop().lab.execOn('cp', ['curl', '-s', '-m', '10', url]);
    const { data } = JSON.parse(stdout === '' ? '{}' : stdout) as { data?: { result: readonly Series[] } };
    return data?.result ?? [];
  };
  /** Calls until the query has an answer. */
  const told = (expr: string, path: string) =>
    until(
      `${expr} has an answer`,
      async () => {
        await shop().curl('client', [`http://web${path}`]);
        const series = await query(expr);
        return series.length > 0 ? series : undefined;
      },
      patience,
    );
  const logged = (path: string, line: RegExp) =>
    until(
      `a line ${line}`,
      async () => {
        await shop().curl('client', [`http://web${path}`]);
        const found = (await lines()).filter((l) => line.test(l));
        return found.length > 0 ? found : undefined;
      },
      patience,
    );
  const lines = async () => (await shop().kubectl(['logs', 'deploy/waypoint', '--tail=-1'])).split('\n');

  let scraping = '';
  before(async () => {
    scraping = prometheus(await shop().ipsOf('waypoint'));
    await shop().apply(scraping + mesh.replace(/^/, '---'));
    await shop().lab.waitReady(patience);
  });
  after(() => shop().delete(scraping));

  test('task: querying metrics from Prometheus', async () => {
    const of =
      'istio_requests_total{destination_service="web.shop.svc.cluster.local",response_code="200",source_workload="client"}';
    const [series] = await told(`rate(${of}[10s]) > 0`, '/metered');
    assert.equal(series?.metric['reporter'], 'waypoint');
    assert.equal(series?.metric['request_protocol'], 'http');
    assert.equal(series?.metric['source_principal'], 'spiffe://cluster.local/ns/shop/sa/client');
    const [slowest] = await told(
      'histogram_quantile(0.95, sum by (le) (istio_request_duration_milliseconds_bucket))',
      '/',
    );
    assert.ok(Number(slowest?.value[1]) > 0);
  });

  test('task: customizing metrics with Telemetry', async () => {
    const tags =
      'destination_port: { value: string(destination.port) }, request_host: { value: request.host }, request_protocol: { operation: REMOVE }';
    const overrides = `metrics: [{ providers: [{ name: prometheus }], overrides: [{ match: { metric: REQUEST_COUNT }, tagOverrides: { ${tags} } }] }]`;
    await during(telemetry(overrides), async () => {
      const [series] = await told('istio_requests_total{request_host="web"}', '/custom');
      assert.equal(series?.metric['destination_port'], '80');
      assert.equal(series?.metric['request_protocol'], undefined);
    });
  });

  test('task: access logs with Telemetry, as text, as JSON, and by a filter', async () => {
    const log = (name: string, more = '') => telemetry(`accessLogging: [{ providers: [{ name: ${name} }]${more} }]`);
    await shop().apply(log('text-file'));
    await logged('/as-text', /^task GET \/as-text 200$/);
    await shop().apply(log('json-file'));
    const [json] = await logged('/as-json', /^\{.*"\/as-json"/);
    assert.deepEqual(JSON.parse(json!), { task: '/as-json', status: 200 });
    const failing = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web, namespace: shop }
spec: { hosts: [web], http: [{ match: [{ uri: { prefix: /fails } }], directResponse: { status: 503 } }, { route: [{ destination: { host: web } }] }] }
`;
    await during(failing, async () => {
      await shop().until('it fails', 'client', ['http://web/fails'], (a) => a.status === 503);
      const filtered = log('text-file', ", filter: { expression: 'response.code >= 400' }");
      await during(filtered, async () => {
        await logged('/fails/filtered', /^task GET \/fails\/filtered 503$/);
        await shop().curl('client', ['http://web/passes']);
        // The lines of a pod are in order: what passed before would stand before it.
        await logged('/fails/last', /^task GET \/fails\/last 503$/);
        assert.deepEqual(
          (await lines()).filter((l) => l.includes('/passes')),
          [],
        );
      });
    });
  });
}
