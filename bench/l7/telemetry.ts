/**
 * `npm run bench -- l7 --telemetry`: what telemetry costs a waypoint, with metrics, a line in a file, a record by OTLP and one trace in a hundred
 * for each request: a process with two listeners, one with all of it and one with none, in turns. The goal of issue 10: 15 % of its requests/s.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { statsConfig } from '../../common/envoy/istio.ts';
import { until } from '../../common/testing/until.ts';
import { usageOf } from '../process-tree.ts';
import { median } from '../statistics.ts';

type Json = Readonly<Record<string, unknown>>;

const lanes = 32;
const type = (name: string) => `type.googleapis.com/${name}`;
const address = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });
const request = Buffer.from(
  'GET /some/path HTTP/1.1\r\nhost: web.shop\r\nuser-agent: bench\r\naccept: */*\r\nx-forwarded-proto: http\r\n\r\n',
);
const answer = Buffer.from('HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nhello\n');
/** Ends each answer. */
const mark = 'hello\n';

export async function benchL7Telemetry(rounds: number, seconds: number): Promise<void> {
  const upstream = createServer((socket) => {
    socket.on('error', () => undefined);
    // One request is under way on a connection, and comes whole.
    socket.on('data', () => socket.write(answer));
  });
  const collector = createHttp2Server();
  let exports = 0;
  collector.on('stream', (stream: ServerHttp2Stream) => {
    exports++;
    stream.on('error', () => undefined);
    stream.resume();
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.on('end', () => stream.end(Buffer.alloc(5)));
  });
  const folder = mkdtempSync(join(tmpdir(), 'aq-l7-'));
  const ports = { off: await free(), on: await free() };
  const file = join(folder, 'bootstrap.json');
  const to = { web: await listening(upstream), collector: await listening(collector) };
  writeFileSync(file, JSON.stringify(bootstrapOf(ports, to)));
  const child = spawn(join(import.meta.dirname, '../../bin/waypoint'), ['--bootstrap', file], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    await until('both listeners accept', async () => {
      if (child.exitCode !== null) throw new Error('the waypoint ended');
      return (await accepts(ports.on)) && (await accepts(ports.off)) ? true : undefined;
    });
    const measured = { off: [] as Measured[], on: [] as Measured[] };
    for (let round = -1; round < rounds; round++) {
      for (const kind of round % 2 === 0 ? (['on', 'off'] as const) : (['off', 'on'] as const)) {
        const one = await measure(child.pid!, ports[kind], seconds);
        // The first is for the compiler.
        if (round >= 0) measured[kind].push(one);
      }
    }
    const of = (kind: keyof typeof measured, what: keyof Measured) => median(measured[kind].map((m) => m[what]));
    for (const kind of ['off', 'on'] as const) {
      console.log(
        `telemetry ${kind}: ${of(kind, 'rate').toFixed(0)} requests/s, ${of(kind, 'cpu').toFixed(1)} us of CPU a request`,
      );
    }
    // Of what one CPU does: the machine's other work does not count.
    const share = 1 - of('off', 'cpu') / of('on', 'cpu');
    console.log(
      `telemetry costs ${(share * 100).toFixed(0)} % of the requests that a CPU serves (goal 15), ${exports} exports`,
    );
  } finally {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    upstream.close();
    collector.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Measured {
  /** Requests a second. */
  readonly rate: number;
  /** us a request. */
  readonly cpu: number;
}

async function measure(pid: number, port: number, seconds: number): Promise<Measured> {
  const before = usageOf([pid]).cpuSeconds;
  const start = performance.now();
  const counts = await Promise.all(Array.from({ length: lanes }, () => lane(port, start + seconds * 1_000)));
  const took = (performance.now() - start) / 1_000;
  const requests = counts.reduce((sum, n) => sum + n, 0);
  return { rate: requests / took, cpu: ((usageOf([pid]).cpuSeconds - before) / requests) * 1e6 };
}

/** One request after another until then. */
function lane(port: number, end: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let count = 0;
    let text = '';
    socket.on('error', reject);
    socket.on('connect', () => socket.write(request));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (!text.endsWith(mark)) return;
      text = '';
      count++;
      if (performance.now() < end) socket.write(request);
      else {
        socket.destroy();
        resolve(count);
      }
    });
  });
}

function bootstrapOf(
  ports: { readonly off: number; readonly on: number },
  to: { readonly web: number; readonly collector: number },
): Json {
  const cluster = (name: string, port: number, more: Json = {}) => ({
    name,
    type: 'STATIC',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }] },
    ...more,
  });
  const http2 = {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': type('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
      explicit_http_config: { http2_protocol_options: {} },
    },
  };
  return {
    node: { id: 'bench', cluster: 'bench' },
    static_resources: {
      listeners: [listener('off', ports.off, [], {}), listener('on', ports.on, [stats], telemetry)],
      clusters: [
        cluster('web', to.web),
        cluster('collector', to.collector, { typed_extension_protocol_options: http2 }),
      ],
    },
  };
}

const stats = { name: 'istio.stats', typed_config: { '@type': type(statsConfig), reporter: 'SERVER_GATEWAY' } };
const by = { grpc_service: { envoy_grpc: { cluster_name: 'collector' } } };
const line =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% ' +
  '%CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ' +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" ' +
  '"%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ' +
  '%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n';
const loggers = 'envoy.extensions.access_loggers.';
const telemetry: Json = {
  access_log: [
    {
      name: 'file',
      typed_config: {
        '@type': type(`${loggers}file.v3.FileAccessLog`),
        // What is written to /dev/null by its name is not even made bytes of.
        path: '/dev/stdout',
        log_format: { text_format_source: { inline_string: line } },
      },
    },
    {
      name: 'otlp',
      typed_config: {
        '@type': type(`${loggers}open_telemetry.v3.OpenTelemetryAccessLogConfig`),
        common_config: { log_name: 'bench', transport_api_version: 'V3', ...by },
        body: { string_value: line },
      },
    },
  ],
  tracing: {
    random_sampling: { value: 1 },
    provider: { name: 'otlp', typed_config: { '@type': type('envoy.config.trace.v3.OpenTelemetryConfig'), ...by } },
  },
};

function listener(name: string, port: number, filters: readonly Json[], more: Json): Json {
  const manager = {
    '@type': type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: name,
    http_filters: [
      ...filters,
      { name: 'router', typed_config: { '@type': type('envoy.extensions.filters.http.router.v3.Router') } },
    ],
    route_config: {
      name,
      virtual_hosts: [
        { name, domains: ['*'], routes: [{ name: 'default', match: { prefix: '/' }, route: { cluster: 'web' } }] },
      ],
    },
    ...more,
  };
  return {
    name,
    address: address(port),
    filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }],
  };
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function free(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  server.close();
  await once(server, 'close');
  return port;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
