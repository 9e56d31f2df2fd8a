import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttp2, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '../../../common/core/clock.ts';
import { typeUrl } from '../../../common/envoy/codec.ts';
import { FakeClock } from '../../../common/testing/fake-clock.ts';
import { LiveHost } from '../hosts/host.ts';
import { assignmentOf, clusterOf, edsCluster, rig, seededDice } from '../testing/rig.ts';
import { HealthChecker, type ProbeResult } from './checker.ts';
import { contains, type Dial, prober } from './probe.ts';

const times = {
  timeout: { seconds: 1 },
  interval: { seconds: 10 },
  unhealthy_threshold: { value: 3 },
  healthy_threshold: { value: 2 },
};
const http = { ...times, http_health_check: { path: '/healthz' } };
const checkOf = (check: object) => clusterOf({ health_checks: [check] }).healthChecks[0]!;

const passed: ProbeResult = { kind: 'passed', degraded: false };
const refused: ProbeResult = { kind: 'failed', reason: 'refused', answered: false, retriable: false };
const sick: ProbeResult = { kind: 'failed', reason: 'status 503', answered: true, retriable: false };

function hostAt(address: string): LiveHost {
  const { endpoints, localities } = assignmentOf([{ endpoints: [{ address }] }]);
  const host = new LiveHost(endpoints[0]!, localities[0]!);
  host.failedCheck = true;
  return host;
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A host under checks whose results come from a list, the last of them again and again. */
async function run(check: object, results: readonly ProbeResult[]) {
  const clock = new FakeClock();
  const host = hostAt('10.0.0.1:80');
  const changes: boolean[] = [];
  let probes = 0;
  const checker = new HealthChecker(checkOf(check), {
    clock,
    dice: seededDice(1),
    probe: () => Promise.resolve(results[Math.min(probes++, results.length - 1)]!),
    hasTraffic: () => true,
    changed: () => changes.push(!host.failedCheck),
    passed: () => undefined,
    first: () => undefined,
  });
  checker.add(host);
  const waits: number[] = [];
  for (let i = 0; i < results.length; i++) {
    clock.advance(clock.nextIn ?? 0);
    await settled();
    waits.push(clock.nextIn!);
  }
  checker.close();
  assert.equal(clock.timers, 0);
  return { host, changes, waits, probes };
}

describe('thresholds', () => {
  test('the first passing probe is enough, later ones need their number', async () => {
    assert.equal((await run(http, [passed])).host.failedCheck, false);
    assert.equal((await run(http, [refused, passed])).host.failedCheck, true);
    assert.equal((await run(http, [refused, passed, passed])).host.failedCheck, false);
  });

  test('who cannot be reached has the whole threshold, who says no is out at once', async () => {
    assert.equal((await run(http, [passed, refused, refused])).host.failedCheck, false);
    assert.equal((await run(http, [passed, refused, refused, refused])).host.failedCheck, true);
    assert.equal((await run(http, [passed, sick])).host.failedCheck, true);
    const retriable: ProbeResult = { ...sick, retriable: true } as ProbeResult;
    assert.equal((await run(http, [passed, retriable])).host.failedCheck, false);
  });

  test('intervals: on the edge, while unhealthy, and plain', async () => {
    const check = {
      ...http,
      unhealthy_interval: { seconds: 2 },
      unhealthy_edge_interval: { seconds: 3 },
      healthy_edge_interval: { seconds: 4 },
    };
    const { waits } = await run(check, [passed, passed, sick, sick, passed, passed]);
    assert.deepEqual(waits, [4_000, 10_000, 3_000, 2_000, 2_000, 4_000]);
  });

  test('any run of results: out after the threshold, back after the other, never else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 15 }), async (results) => {
        const { host } = await run(
          http,
          results.map((good) => (good ? passed : refused)),
        );
        let out = true;
        let good = 0;
        let bad = 0;
        results.forEach((one, i) => {
          good = one ? good + 1 : 0;
          bad = one ? 0 : bad + 1;
          if (out && (good >= 2 || (one && i === 0))) out = false;
          else if (!out && bad >= 3) out = true;
        });
        assert.equal(host.failedCheck, out);
      }),
      { numRuns: 60 },
    );
  });
});

test('a cluster with checks is ready after the first of each host, and uses those that pass', async () => {
  const up = createHttp((asked, answer) => {
    answer.writeHead(asked.url === '/healthz' && asked.headers.host === 'web' ? 200 : 404);
    answer.end();
  });
  const down = createHttp((_, answer) => {
    answer.writeHead(503);
    answer.end();
  });
  const [a, b] = [await listen(up), await listen(down)];
  const { upstream, clock } = rig(
    { ...edsCluster, health_checks: [http], common_lb_config: { healthy_panic_threshold: {} } },
    { dial: plainDial },
  );
  upstream.assign(assignmentOf([{ endpoints: [{ address: a }, { address: b }] }]));
  clock.advance(0);
  await upstream.ready;
  for (let i = 0; i < 5; i++) {
    const pick = upstream.pick({ dice: Math });
    assert.ok(pick.kind === 'host' && pick.host.key === a);
  }
  // Discovery loses a host that is well: it stays.
  upstream.assign(assignmentOf([]));
  assert.deepEqual(
    upstream.hosts().map(({ key }) => key),
    [a],
  );
  upstream.close();
  assert.equal(clock.timers, 0);
  up.close();
  down.close();
});

test('a probe goes over the transport that the host itself has', async () => {
  const seen: string[] = [];
  const dial: Dial = (host, _, __, ___, transport) => {
    seen.push(`${host.key} ${transport.kind}`);
    return Promise.reject(new Error('not dialled'));
  };
  const tls = 'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
  const match = {
    name: 'plain',
    match: { fields: { plain: { stringValue: 'yes' } } },
    transport_socket: { name: 'envoy.transport_sockets.raw_buffer' },
  };
  const transport_socket = { name: 'tls', typed_config: { '@type': typeUrl(tls) } };
  const { upstream, clock } = rig(
    { ...edsCluster, health_checks: [http], transport_socket, transport_socket_matches: [match] },
    { dial },
  );
  const assignment = assignmentOf([{ endpoints: [{ address: '10.0.0.1:80' }, { address: '10.0.0.2:80' }] }]);
  const [first, ...rest] = assignment.endpoints;
  const plain = { ...first!, metadata: { 'envoy.transport_socket_match': { plain: 'yes' } } };
  upstream.assign({ ...assignment, endpoints: [plain, ...rest] });
  clock.advance(0);
  await upstream.ready;
  assert.deepEqual(seen.toSorted(), ['10.0.0.1:80 raw', '10.0.0.2:80 tls']);
  upstream.close();
});

const plainDial: Dial = (_, address, __, signal) =>
  new Promise((resolve, reject) => {
    if (address.kind !== 'ip') throw new Error('no IP address');
    const socket = connect(address.port, address.ip, () => resolve(socket));
    socket.on('error', reject);
    signal.addEventListener('abort', () => socket.destroy(), { once: true });
  });

async function listen(
  server: { listen: Server['listen']; address: Server['address'] } & Pick<Server, 'once'>,
): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server as Server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('probes', () => {
  const probe = (address: string, check: object, signal = new AbortController().signal) => {
    const { healthChecks, protocol } = clusterOf({ health_checks: [{ ...times, ...check }] });
    const cluster = { name: 'web', protocol };
    const ask = prober({ dial: plainDial, cluster, clock: systemClock, transportOf: () => ({ kind: 'raw' }) });
    return ask(hostAt(address), healthChecks[0]!, signal);
  };

  test('HTTP/1.1 and HTTP/2: status, degraded, expected ranges, added headers', async () => {
    const seen: string[] = [];
    const one = createHttp((asked, answer) => {
      seen.push(`${asked.method} ${asked.headers['x-a']}`);
      answer.writeHead(204, { 'x-envoy-degraded': '' });
      answer.end();
    });
    const two = createHttp2((asked, answer) => {
      seen.push(`${asked.method} ${asked.headers[':authority']}`);
      answer.writeHead(200);
      answer.end();
    });
    const [a, b] = [await listen(one), await listen(two as unknown as Server)];
    const headers = [{ header: { key: 'X-A', value: '1' } }];
    const expected = [{ start: 200, end: 205 }];
    const config = { path: '/', method: 'HEAD', request_headers_to_add: headers, expected_statuses: expected };
    assert.deepEqual(await probe(a, { http_health_check: config }), { kind: 'passed', degraded: true });
    assert.deepEqual(await probe(a, { http_health_check: { path: '/' } }), {
      kind: 'failed',
      reason: 'status 204',
      answered: true,
      retriable: false,
    });
    assert.deepEqual(
      await probe(b, { http_health_check: { path: '/', codec_client_type: 'HTTP2', host: 'me' } }),
      passed,
    );
    assert.deepEqual(seen, ['HEAD 1', 'GET undefined', 'GET me']);
    one.close();
    two.close();
  });

  test('gRPC: SERVING passes, all else fails', async () => {
    const asked: Buffer[] = [];
    let status = 1;
    const server = createHttp2();
    server.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('data', (chunk: Buffer) => asked.push(chunk));
      stream.on('end', () => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end(Buffer.from([0, 0, 0, 0, 2, 8, status]));
      });
    });
    const address = await listen(server as unknown as Server);
    assert.deepEqual(await probe(address, { grpc_health_check: { service_name: 'shop' } }), passed);
    assert.deepEqual(Buffer.concat(asked), Buffer.from([0, 0, 0, 0, 6, 0x0a, 4, ...Buffer.from('shop')]));
    status = 2;
    const failed = await probe(address, { grpc_health_check: {} });
    assert.deepEqual(failed, { kind: 'failed', reason: 'grpc-status 0, health 2', answered: true, retriable: false });
    server.close();
  });

  test('by HTTP/2: a long body is no reason, an answer that breaks off, never comes or is no HTTP/2 fails', async () => {
    const abort = new AbortController();
    const server = createHttp2();
    server.on('stream', (stream: ServerHttp2Stream, { ':path': path }) => {
      stream.on('error', () => undefined);
      if (path === '/reset') stream.close(2);
      else if (path === '/long') stream.end(Buffer.alloc(200_000));
      else if (path === '/hold') abort.abort();
    });
    const other = createServer((socket) => socket.end('SSH-2.0-x\r\n'));
    const [address, ssh] = [await listen(server as unknown as Server), await listen(other)];
    const check = (path: string) => ({ http_health_check: { path, codec_client_type: 'HTTP2' } });
    await assert.rejects(probe(address, check('/reset')), /reset the stream/);
    assert.deepEqual(await probe(address, check('/long')), passed);
    await assert.rejects(probe(address, check('/hold'), abort.signal), /timeout/);
    await assert.rejects(probe(ssh, check('/')));
    server.close();
    other.close();
  });

  test('TCP: a connect is enough, or bytes that come in order', async () => {
    const server = createServer((socket) => {
      socket.on('data', (chunk) => socket.write(`hello ${chunk} world`));
      socket.on('error', () => undefined);
    });
    const address = await listen(server);
    const hex = (text: string) => ({ text: Buffer.from(text).toString('hex') });
    assert.deepEqual(await probe(address, { tcp_health_check: {} }), passed);
    const check = { send: hex('you'), receive: [hex('hello'), hex('world')] };
    assert.deepEqual(await probe(address, { tcp_health_check: check }), passed);
    server.close();
    await assert.rejects(probe('127.0.0.1:1', { tcp_health_check: {} }), /ECONNREFUSED/);
  });

  test('parts are found in order only', () => {
    const parts = ['ab', 'cd'].map((text) => Buffer.from(text));
    assert.equal(contains(Buffer.from('xxabyycd'), parts), true);
    assert.equal(contains(Buffer.from('cdab'), parts), false);
  });
});
