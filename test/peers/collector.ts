/**
 * Lets a real OpenTelemetry collector take the spans of our waypoint, by gRPC and by HTTP, and its access logs:
 *
 *   scripts/pinned-node test/peers/collector.ts PATH_OF_OTELCOL
 *
 * One with the receiver `otlp`, the exporter `debug` and the provider `file` for its configuration, as its releases have. Needs no root. Prints a line a way out;
 * exits with 1 when a span or a record did not arrive whole.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { typeUrl } from '../../common/envoy/codec.ts';
import { freePort } from '../../common/testing/free-port.ts';
import { until } from '../../common/testing/until.ts';
import { Rig } from '../../waypoint/testing/rig.ts';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const parentId = 'b7ad6b7169203331';
const http2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': typeUrl('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
    explicit_http_config: { http2_protocol_options: {} },
  },
};

async function main(otelcol: string): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'aq-otelcol-'));
  const ports = { grpc: await freePort(), http: await freePort() };
  const config = {
    receivers: {
      otlp: {
        protocols: {
          grpc: { endpoint: `127.0.0.1:${ports.grpc}` },
          http: { endpoint: `127.0.0.1:${ports.http}` },
        },
      },
    },
    exporters: { debug: { verbosity: 'detailed' } },
    service: {
      telemetry: { metrics: { level: 'none' } },
      pipelines: {
        traces: { receivers: ['otlp'], exporters: ['debug'] },
        logs: { receivers: ['otlp'], exporters: ['debug'] },
      },
    },
  };
  writeFileSync(join(folder, 'config.yaml'), JSON.stringify(config));
  const child = spawn(otelcol, ['--config', join(folder, 'config.yaml')], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += String(chunk);
    });
  }
  try {
    await until(
      'the collector is ready',
      () => (ended(child) || output.includes('Everything is ready') ? true : undefined),
      60_000,
    );
    if (ended(child)) throw new Error(output);
    return await sendAll(ports, () => output);
  } finally {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function sendAll(
  ports: { readonly grpc: number; readonly http: number },
  output: () => string,
): Promise<boolean> {
  await using rig = new Rig();
  const web = await rig.upstream((_, answer) => answer.end('hello'));
  rig.cluster('web', [web]);
  rig.cluster('by-grpc', [ports.grpc], { typed_extension_protocol_options: http2 });
  rig.cluster('by-http', [ports.http]);
  const ways = {
    'by-grpc': { grpc_service: { envoy_grpc: { cluster_name: 'by-grpc' } } },
    'by-http': { http_service: { http_uri: { uri: '/v1/traces', cluster: 'by-http', timeout: '5s' } } },
  };
  let isWhole = true;
  for (const [name, config] of Object.entries(ways)) {
    const routes = [{ match: { prefix: '/' }, route: { cluster: 'web' }, decorator: { operation: `op-${name}` } }];
    const typed = {
      '@type': typeUrl('envoy.config.trace.v3.OpenTelemetryConfig'),
      service_name: 'waypoint.shop',
      ...config,
    };
    const port = await rig.http(name, routes, {
      tracing: {
        provider: { name: 'otlp', typed_config: typed },
        custom_tags: [{ tag: 'own', literal: { value: name } }],
      },
    });
    await fetch(`http://127.0.0.1:${port}/hello`, { headers: { traceparent: `00-${traceId}-${parentId}-01` } });
    await rig.runtime.env.exporters.flush();
    const wanted = [
      new RegExp(`Trace ID +: ${traceId}`),
      new RegExp(`Parent ID +: ${parentId}`),
      new RegExp(`Name +: op-${name}`),
      /Kind +: Server/,
      new RegExp(`own: Str\\(${name}\\)`),
      /service\.name: Str\(waypoint\.shop\)/,
      /http\.status_code: Str\(200\)/,
    ];
    if (!(await arrives(name, wanted, output))) isWhole = false;
  }
  const log = {
    common_config: { log_name: 'own', grpc_service: ways['by-grpc'].grpc_service, transport_api_version: 'V3' },
    resource_attributes: { values: [{ key: 'service.name', value: { string_value: 'waypoint.logs' } }] },
    body: { string_value: '%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE%' },
    attributes: { values: [{ key: 'protocol', value: { string_value: '%PROTOCOL%' } }] },
  };
  const type = 'envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig';
  const port = await rig.http('logs', [{ match: { prefix: '/' }, route: { cluster: 'web' } }], {
    access_log: [{ name: 'otlp', typed_config: { '@type': typeUrl(type), ...log } }],
  });
  await fetch(`http://127.0.0.1:${port}/logged`);
  await rig.runtime.env.exporters.flush();
  const record = [
    /service\.name: Str\(waypoint\.logs\)/,
    /log_name: Str\(own\)/,
    /Body: Str\(GET \/logged 200\)/,
    /protocol: Str\(HTTP\/1\.1\)/,
  ];
  if (!(await arrives('logs', record, output))) isWhole = false;
  const { value: sent } = rig.runtime.stats.counter('tracing.opentelemetry.spans_sent');
  process.stdout.write(`spans_sent ${sent}\n`);
  if (!isWhole) process.stdout.write(output());
  return isWhole;
}

async function arrives(name: string, wanted: readonly RegExp[], output: () => string): Promise<boolean> {
  const missing = await until(
    `the collector shows ${name}`,
    () => (wanted.every((line) => line.test(output())) ? [] : undefined),
    10_000,
  ).catch(() => wanted.filter((line) => !line.test(output())));
  process.stdout.write(`${name}: ${missing.length === 0 ? 'arrived' : `without ${missing.join(', ')}`}\n`);
  return missing.length === 0;
}

function ended({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

const [path] = process.argv.slice(2);
if (path === undefined) {
  process.stderr.write('usage: test/peers/collector.ts PATH_OF_OTELCOL\n');
  process.exit(2);
}
process.exit((await main(path)) ? 0 : 1);
