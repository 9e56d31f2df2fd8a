import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { typeUrl } from '../../../common/envoy/codec.ts';
import { ask, assignmentOf, edsCluster, leaseOf, rig } from '../testing/rig.ts';

const byPeer = { by: 'peer', isBusy: false } as const;

const options = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const http2 = (common: object = {}, h2: object = {}) => ({
  typed_extension_protocol_options: {
    [options]: {
      '@type': typeUrl(options),
      common_http_protocol_options: common,
      explicit_http_config: { http2_protocol_options: h2 },
    },
  },
});
const limits = (thresholds: object) => ({ circuit_breakers: { thresholds: [thresholds] } });

function start(cluster: object = {}, more?: Parameters<typeof rig>[1]) {
  const all = rig({ ...edsCluster, ...cluster }, more);
  all.upstream.assign(assignmentOf([{ endpoints: [{ address: '10.0.0.1:80' }] }]));
  return { ...all, host: all.upstream.hosts()[0]! };
}

describe('connections of HTTP/1.1', () => {
  test('serve one request at a time, and the next one again', () => {
    const { upstream, connector, host } = start();
    const first = ask(upstream, host);
    const second = ask(upstream, host);
    assert.equal(connector.made.length, 2);
    connector.made[0]!.events.opened('a', 'http1', 1);
    assert.equal(leaseOf(first).codec, 'a');
    assert.equal(second.got.kind, 'waiting');
    leaseOf(first).release(true);
    assert.deepEqual([leaseOf(second).codec, leaseOf(second).earlier], ['a', 1]);
    connector.made[1]!.events.opened('b', 'http1', 1);
    const third = ask(upstream, host);
    assert.equal(leaseOf(third).codec, 'b');
    assert.equal(host.load.requests, 2);
  });

  test('that cannot be reused are closed, and the next request gets another', () => {
    const { upstream, connector, host } = start();
    const first = ask(upstream, host);
    const connection = connector.open();
    leaseOf(first).release(false);
    assert.equal(connection.closed, 'gracefully');
    ask(upstream, host);
    assert.equal(connector.made.length, 2);
    assert.deepEqual([host.load.requests, upstream.admission.taken('connections', 'default')], [0, 1]);
  });

  test('are asked one by one only for a few: a request costs as much beside 800 busy ones', () => {
    const { upstream, connector, host } = start();
    let looks = 0;
    // Read wherever a connection is asked whether it takes one more.
    Object.defineProperty(upstream.cluster.protocol, 'maxRequests', { get: () => void looks++ });
    const busy = Array.from({ length: 800 }, () => ask(upstream, host));
    for (const { events } of connector.made) events.opened('a', 'http1', 1);
    assert.equal(connector.made.length, busy.length);
    assert.ok(looks < 20 * busy.length, `${looks} looks for ${busy.length} requests`);
    looks = 0;
    for (const one of busy) leaseOf(one).release(false);
    assert.ok(looks < 10 * busy.length, `${looks} looks for ${busy.length} ends`);
    assert.equal(upstream.admission.taken('connections', 'default'), 0);
  });

  test('take the next request where they had the last one most recently, so that others may rest', () => {
    const { upstream, connector, host } = start();
    const both = [ask(upstream, host), ask(upstream, host)];
    connector.made[0]!.events.opened('a', 'http1', 1);
    connector.made[1]!.events.opened('b', 'http1', 1);
    for (const codec of ['a', 'b', 'b', 'a']) {
      const given = both.find((one) => leaseOf(one).codec === codec)!;
      leaseOf(given).release(true);
      const next = ask(upstream, host);
      assert.equal(leaseOf(next).codec, codec);
      both[both.indexOf(given)] = next;
    }
    for (const codec of ['a', 'b']) leaseOf(both.find((one) => leaseOf(one).codec === codec)!).release(true);
    const last = ask(upstream, host);
    assert.equal(leaseOf(last).codec, 'b');
    connector.made[1]!.events.closed('gone', byPeer);
    assert.equal(leaseOf(ask(upstream, host)).codec, 'a');
  });

  test('fail all who wait when they do not come to be', () => {
    const { upstream, connector, host, clock } = start({ connect_timeout: { seconds: 1 } });
    const first = ask(upstream, host);
    const second = ask(upstream, host);
    connector.made[0]!.events.closed('ECONNREFUSED', byPeer);
    for (const { got } of [first, second]) {
      const failure = { kind: 'refused', detail: 'ECONNREFUSED', tls: false };
      assert.deepEqual(got, { kind: 'failed', failure: { kind: 'connect', failure } });
    }
    connector.made[1]!.events.closed('ECONNREFUSED', byPeer);
    const third = ask(upstream, host);
    clock.advance(1_000);
    assert.deepEqual(third.got, { kind: 'failed', failure: { kind: 'connect', failure: { kind: 'timeout' } } });
    assert.equal(connector.made[2]!.closed, 'at once');
  });

  test('are closed after their idle time, counted from the last request', () => {
    const { upstream, connector, host, clock } = start({
      common_http_protocol_options: { idle_timeout: { seconds: 10 } },
    });
    const first = ask(upstream, host);
    const connection = connector.open();
    clock.advance(60_000);
    leaseOf(first).release(true);
    clock.advance(6_000);
    const second = ask(upstream, host);
    leaseOf(second).release(true);
    clock.advance(9_000);
    assert.equal(connection.closed, undefined);
    clock.advance(1_000);
    assert.equal(connection.closed, 'gracefully');
    assert.equal(clock.timers, 0);
  });
});

describe('connections of HTTP/2', () => {
  test('carry as many requests as both sides allow', () => {
    const { upstream, connector, host } = start(http2({}, { max_concurrent_streams: { value: 3 } }));
    const asked = Array.from({ length: 4 }, () => ask(upstream, host));
    assert.equal(connector.made.length, 2);
    connector.made[0]!.events.opened('a', 'http2', 2);
    assert.deepEqual(
      asked.map(({ got }) => got.kind),
      ['ready', 'ready', 'waiting', 'waiting'],
    );
    connector.made[0]!.events.allowed(100);
    assert.deepEqual(
      asked.map(({ got }) => got.kind),
      ['ready', 'ready', 'ready', 'waiting'],
    );
    leaseOf(asked[0]!).release(false);
    assert.equal(leaseOf(asked[3]!).codec, 'a');
  });

  test('are hoped for until ALPN says HTTP/1.1; then each request gets a connection', () => {
    const auto = { '@type': typeUrl(options), auto_config: {} };
    const { upstream, connector, host } = start({ typed_extension_protocol_options: { [options]: auto } });
    const asked = Array.from({ length: 3 }, () => ask(upstream, host));
    assert.equal(connector.made.length, 1);
    connector.made[0]!.events.opened('a', 'http1', 1);
    assert.equal(leaseOf(asked[0]!).protocol, 'http1');
    const second = connector.made[1]!;
    second.events.opened('b', 'http2', 100);
    assert.deepEqual(
      asked.map((one) => leaseOf(one).codec),
      ['a', 'b', 'b'],
    );
  });

  test('take no more after GOAWAY, their maximum of requests or their age', () => {
    const { upstream, connector, host, clock } = start(
      http2({ max_requests_per_connection: { value: 2 }, max_connection_duration: { seconds: 60 } }),
    );
    const [a, b] = [ask(upstream, host), ask(upstream, host)];
    const first = connector.open(100);
    assert.equal(leaseOf(b).earlier, 1);
    const c = ask(upstream, host);
    assert.equal(connector.made.length, 2);
    leaseOf(a).release(true);
    assert.equal(first.closed, undefined);
    leaseOf(b).release(true);
    assert.equal(first.closed, 'gracefully');
    const second = connector.open(100);
    second.events.draining();
    const d = ask(upstream, host);
    assert.equal(connector.made.length, 3);
    leaseOf(c).release(true);
    assert.equal(second.closed, 'gracefully');
    const third = connector.open(100);
    leaseOf(d).release(true);
    clock.advance(60_000);
    assert.equal(third.closed, 'gracefully');
  });
});

describe('circuit breakers', () => {
  test('bound connections, pending and active requests', () => {
    const { upstream, connector, host } = start(
      limits({ max_connections: { value: 2 }, max_pending_requests: { value: 3 }, max_requests: { value: 1 } }),
    );
    const asked = Array.from({ length: 4 }, () => ask(upstream, host));
    assert.equal(connector.made.length, 2);
    assert.deepEqual(asked[3]!.got, { kind: 'failed', failure: { kind: 'overflow', breaker: 'max_pending_requests' } });
    connector.made[0]!.events.opened('a', 'http1', 1);
    connector.made[1]!.events.opened('b', 'http1', 1);
    assert.equal(asked[0]!.got.kind, 'ready');
    assert.deepEqual(asked[1]!.got, { kind: 'failed', failure: { kind: 'overflow', breaker: 'max_requests' } });
  });

  test('let a host have one connection even when others have them all', () => {
    const { upstream, connector } = rig({ ...edsCluster, ...limits({ max_connections: { value: 1 } }) });
    upstream.assign(assignmentOf([{ endpoints: [{ address: '10.0.0.1:80' }, { address: '10.0.0.2:80' }] }]));
    const [one, two] = upstream.hosts();
    ask(upstream, one!);
    ask(upstream, two!);
    ask(upstream, two!);
    assert.equal(connector.made.length, 2);
    assert.equal(upstream.admission.taken('connections', 'default'), 2);
  });

  test('count how they end: who closed them, and whether a request was under way', () => {
    const counted: string[] = [];
    const { upstream, connector, host } = start({}, { count: (name) => counted.push(name) });
    const departures = () => counted.filter((name) => name.startsWith('upstream_cx_destroy'));
    const first = ask(upstream, host);
    connector.open();
    leaseOf(first).release(false);
    assert.deepEqual(departures(), ['upstream_cx_destroy', 'upstream_cx_destroy_local']);
    ask(upstream, host);
    connector.open().events.closed('reset', { by: 'peer', isBusy: true });
    assert.deepEqual(departures().slice(2), [
      'upstream_cx_destroy',
      'upstream_cx_destroy_remote',
      'upstream_cx_destroy_with_active_rq',
      'upstream_cx_destroy_remote_with_active_rq',
    ]);
  });

  test('of a host that is found ill end with their last request, and who comes gets others', () => {
    const { upstream, connector, host } = start({
      outlier_detection: { consecutive_5xx: { value: 1 }, max_ejection_percent: { value: 100 } },
    });
    const first = ask(upstream, host);
    const old = connector.open();
    upstream.events.responded(host, 503);
    assert.equal(old.closed, undefined);
    ask(upstream, host);
    assert.equal(connector.made.length, 2);
    leaseOf(first).release(true);
    assert.equal(old.closed, 'gracefully');
  });

  test('of high priority are others', () => {
    const { upstream, host } = start(limits({ max_pending_requests: { value: 0 } }));
    assert.equal(ask(upstream, host).got.kind, 'failed');
    assert.equal(ask(upstream, host, { priority: 'high' }).got.kind, 'waiting');
  });

  test('a retry budget follows the requests that there are', () => {
    const { upstream, connector, host } = start({
      ...http2(),
      ...limits({ retry_budget: { budget_percent: { value: 50 }, min_retry_concurrency: { value: 1 } } }),
    });
    const { admission } = upstream;
    assert.equal(admission.take('retries', 'default'), true);
    assert.equal(admission.take('retries', 'default'), false);
    const asked = Array.from({ length: 4 }, () => ask(upstream, host));
    connector.open(100);
    assert.equal(admission.take('retries', 'default'), true);
    assert.equal(admission.take('retries', 'default'), false);
    for (const one of asked) leaseOf(one).release(true);
    admission.give('retries', 'default');
    admission.give('retries', 'default');
    assert.throws(() => admission.give('retries', 'default'), /not taken/);
  });
});

describe('a host that goes', () => {
  test('keeps its open requests; who waits is told, and its connections end with their last request', () => {
    const { upstream, connector, host } = start();
    const first = ask(upstream, host);
    const connection = connector.open();
    const second = ask(upstream, host);
    upstream.assign(assignmentOf([]));
    assert.deepEqual(second.got, { kind: 'failed', failure: { kind: 'gone' } });
    assert.equal(connection.closed, undefined);
    leaseOf(first).release(true);
    assert.equal(connection.closed, 'gracefully');
    assert.equal(upstream.admission.taken('connections', 'default'), 0);
  });
});

type Step = {
  readonly do: 'ask' | 'cancel' | 'open' | 'refuse' | 'break' | 'release' | 'drain' | 'wait';
  readonly at: number;
};

test('whatever happens, what is taken is given back, and each request has one outcome', () => {
  const step: fc.Arbitrary<Step> = fc.record({
    do: fc.constantFrom(
      'ask',
      'ask',
      'ask',
      'cancel',
      'open',
      'open',
      'refuse',
      'break',
      'release',
      'release',
      'drain',
      'wait',
    ),
    at: fc.nat(50),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), fc.integer({ min: 1, max: 4 }), (steps, two, most) => {
      const { upstream, connector, clock, host } = start({
        ...(two ? http2({ max_requests_per_connection: { value: 5 } }) : {}),
        ...limits({ max_connections: { value: most } }),
      });
      const asked: ReturnType<typeof ask>[] = [];
      const released = new Set<object>();
      const take = <T>(list: readonly T[], at: number) => list[at % Math.max(1, list.length)];
      for (const { do: what, at } of steps) {
        const connection = take(
          connector.made.filter((c) => !c.closed),
          at,
        );
        switch (what) {
          case 'ask':
            asked.push(ask(upstream, host));
            break;
          case 'cancel':
            take(asked, at)?.cancel();
            break;
          case 'open':
            if (connection) connection.events.opened('c', two ? 'http2' : 'http1', 2);
            break;
          case 'refuse':
          case 'break':
            if (connection) {
              connection.closed = 'at once';
              connection.events.closed('gone', byPeer);
            }
            break;
          case 'release': {
            const lease = take(
              asked.flatMap(({ got }) => (got.kind === 'ready' && !released.has(got.lease) ? [got.lease] : [])),
              at,
            );
            if (lease) {
              released.add(lease);
              lease.release(at % 3 > 0);
            }
            break;
          }
          case 'drain':
            connection?.events.draining();
            break;
          case 'wait':
            clock.advance(100);
        }
        const open = asked.filter(({ got }) => got.kind === 'ready' && !released.has(got.lease)).length;
        assert.equal(host.load.requests, open);
        assert.equal(upstream.admission.taken('requests', 'default'), open);
        assert.equal(upstream.admission.taken('connections', 'default'), host.load.connections);
        assert.ok(host.load.connections <= most, `${host.load.connections} connections`);
      }
      for (const { cancel } of asked) cancel();
      for (const { got } of asked) if (got.kind === 'ready' && !released.has(got.lease)) got.lease.release(true);
      upstream.close();
      for (const connection of connector.made) if (!connection.closed) connection.events.closed('end', byPeer);
      assert.deepEqual(
        (['connections', 'pending', 'requests'] as const).map((what) => upstream.admission.taken(what, 'default')),
        [0, 0, 0],
      );
      assert.equal(clock.timers, 0);
    }),
    { numRuns: 500 },
  );
});
