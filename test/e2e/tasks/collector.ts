/** Istio's tasks of tracing and of logs by OTLP, at a waypoint: a real collector of OpenTelemetry receives them, and writes what it got as text. */
import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '../../../common/testing/until.ts';
import { goProgramPath } from '../../harness/go-programs.ts';
import { type Answer, patience, type Shop } from '../shop.ts';

const config = JSON.stringify({
  receivers: { otlp: { protocols: { grpc: { endpoint: '[::]:4317' } } } },
  exporters: { debug: { verbosity: 'detailed', sampling_initial: 1_000_000 } },
  service: {
    telemetry: { metrics: { level: 'none' } },
    pipelines: {
      traces: { receivers: ['otlp'], exporters: ['debug'] },
      logs: { receivers: ['otlp'], exporters: ['debug'] },
    },
  },
});

const collector = `
apiVersion: v1
kind: ConfigMap
metadata: { name: otel, namespace: legacy }
data: { config.yaml: '${config}' }
---
apiVersion: v1
kind: Service
metadata: { name: otel, namespace: legacy }
spec: { selector: { app: otel }, ports: [{ name: grpc-otlp, port: 4317 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: otel, namespace: legacy }
spec:
  selector: { matchLabels: { app: otel } }
  template:
    metadata: { labels: { app: otel } }
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{ name: program, hostPath: { path: ${dirname(goProgramPath('otelcol'))} } }, { name: config, configMap: { name: otel } }]
      containers:
        - name: main
          image: debian
          command: [/program/otelcol, --config, /config/config.yaml]
          volumeMounts: [{ name: program, mountPath: /program }, { name: config, mountPath: /config }]
          readinessProbe: { tcpSocket: { port: 4317 }, periodSeconds: 1 }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    enableTracing: true
    extensionProviders:
    - { name: otel, opentelemetry: { service: otel.legacy.svc.cluster.local, port: 4317 } }
    - name: otel-logs
      envoyOtelAls: { service: otel.legacy.svc.cluster.local, port: 4317, logFormat: { labels: { path: "%REQ(:PATH)%" } } }
---
`;

const telemetry = (spec: string) => `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: task, namespace: shop }
spec: { ${spec} }
`;

export function collectorTasks(shop: () => Shop): void {
  const during = async (objects: string, work: () => Promise<void>) => {
    await shop().apply(objects);
    try {
      await work();
    } finally {
      await shop().delete(objects);
    }
  };
  const received = async () => shop().kubectl(['-n', 'legacy', 'logs', 'deploy/otel', '--tail=-1']);
  /** Calls until the collector shows all of `texts`; what it shows then, and the traces that servers were told of. */
  const arrives = async (path: string, ...texts: readonly RegExp[]) => {
    const traces: string[] = [];
    const log = await until(
      `${texts.join(' and ')} at the collector`,
      async () => {
        const { echo } = await shop().curl('client', [`http://web${path}`]);
        const [, id] = /^00-([0-9a-f]{32})-/.exec(echo?.headers['traceparent'] ?? '') ?? [];
        if (id !== undefined) traces.push(id);
        const shown = await received();
        return texts.every((text) => text.test(shown)) ? shown : undefined;
      },
      patience,
    );
    return { log, traces };
  };
  before(async () => {
    await shop().apply(collector);
    await shop().lab.waitReady(patience);
  });
  after(() => shop().delete(collector));

  test("task: traces with Telemetry, all of them with tags of one's own, then none", async () => {
    const tags =
      'customTags: { of-text: { literal: { value: told } }, of-header: { header: { name: x-h, defaultValue: none } } }';
    const sampled = (percentage: number) =>
      telemetry(`tracing: [{ providers: [{ name: otel }], randomSamplingPercentage: ${percentage}, ${tags} }]`);
    await during(sampled(100), async () => {
      const { log, traces } = await arrives(
        '/traced',
        /http\.url: Str\(http:\/\/web\/traced\)/,
        /of-text: Str\(told\)/,
        /of-header: Str\(none\)/,
      );
      assert.ok(
        traces.some((id) => new RegExp(`Trace ID +: ${id}`).test(log)),
        'servers are told of the trace that the collector has',
      );
      await shop().apply(sampled(0));
      const isUnsampled = ({ echo }: Answer) => /-00$/.test(echo?.headers['traceparent'] ?? '');
      await shop().until('none is sampled', 'client', ['http://web/untraced'], isUnsampled);
    });
  });

  test('task: access logs by OTLP with Telemetry', () =>
    during(telemetry('accessLogging: [{ providers: [{ name: otel-logs }] }]'), async () => {
      await arrives('/logged', /path: Str\(\/logged\)/);
    }));
}
