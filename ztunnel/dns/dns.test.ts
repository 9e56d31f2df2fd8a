/** The DNS proxy on real loopback sockets: what it answers, what it forwards, what it refuses. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import dns from 'dns-packet';
import fc from 'fast-check';
import { systemClock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import { silentLogger } from '../../common/core/log.ts';
import type { Ip, Port, SocketAddr } from '../../common/core/net.ts';
import { MeshStore } from '../../common/mesh/store.ts';
import type { Workload } from '../../common/mesh/types.ts';
import type { DnsMetrics } from '../../common/telemetry/dns.ts';
import { ip, networkAddress, service, workload } from '../../common/testing/builders.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { until } from '../../common/testing/until.ts';
import type { ProxiedPod } from '../proxy/pod.ts';
import { DnsAnswerer } from './answer.ts';
import { Forwarder, framed, MessageReader } from './forward.ts';
import { answers, fitUdp, parseQuery, recordsReply } from './message.ts';
import { nameservers } from './resolv-conf.ts';

const loopback = '127.0.0.1' as Ip;
const signal = new AbortController().signal;

function query(name: string, type: dns.RecordType = 'A', over: dns.Packet = {}): Buffer {
  return dns.encode({ type: 'query', id: 77, flags: dns.RECURSION_DESIRED, questions: [{ type, name }], ...over });
}

function opt(udpPayloadSize: number): dns.Answer {
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: dns.DNSSEC_OK,
    flag_do: true,
    options: [],
  };
}

/** A name server on loopback; `reply` undefined keeps silent. */
async function nameserver(reply: (q: Buffer) => Buffer | undefined) {
  const udp = createSocket('udp4');
  const asked: Buffer[] = [];
  udp.on('message', (bytes, from) => {
    asked.push(bytes);
    const answer = reply(bytes);
    if (answer) udp.send(answer, from.port, from.address);
  });
  const tcp = createServer((socket) => {
    const reader = new MessageReader();
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk)) {
        asked.push(message);
        const answer = reply(message);
        if (answer) socket.write(framed(answer));
      }
    });
  });
  // TCP chooses the number: its ports are the scarce ones on a machine that runs other tests.
  tcp.listen(0, loopback);
  await once(tcp, 'listening');
  const { port } = tcp.address() as AddressInfo;
  const close = () => {
    udp.close();
    tcp.close();
  };
  udp.bind(port, loopback);
  try {
    await once(udp, 'listening');
  } catch (e) {
    close();
    throw e;
  }
  return { address: { ip: loopback, port: port as Port }, asked, close };
}

function forwarder(servers: readonly SocketAddr[], clock = systemClock): Forwarder {
  return new Forwarder({
    servers,
    clock,
    async datagram() {
      const socket = createSocket('udp4');
      socket.bind(0, '0.0.0.0');
      await once(socket, 'listening');
      return socket;
    },
    async connect(to) {
      const socket = connect(to.port, to.ip);
      await once(socket, 'connect');
      return socket;
    },
  });
}

function answer(to: Buffer, data: string): Buffer {
  const { id, questions } = dns.decode(to);
  return dns.encode({
    type: 'response',
    id: id!,
    questions: questions!,
    answers: [{ type: 'A', name: questions![0]!.name, ttl: 5, data }],
  });
}

class CountingMetrics implements DnsMetrics {
  readonly seen: string[] = [];
  request(): void {
    this.seen.push('request');
  }
  upstream(): void {
    this.seen.push('upstream');
  }
  upstreamFailed(): void {
    this.seen.push('failed');
  }
}

const client = workload({ name: 'client', addresses: [ip('10.0.0.1')] });

function answerer(
  over: {
    readonly client?: Workload | undefined;
    readonly fromMesh?: boolean;
    readonly servers?: readonly SocketAddr[];
  } = {},
) {
  const store = new MeshStore();
  store.apply({
    addresses: [
      client,
      service({ name: 'web', addresses: [networkAddress('/10.96.0.1'), networkAddress('/fd00::1')] }),
      service({ name: 'four', ipFamilies: 'IPV4_ONLY', addresses: [networkAddress('/10.96.0.4')] }),
      service({ name: 'wide', addresses: Array.from({ length: 15 }, (_, i) => networkAddress(`/10.97.0.${i}`)) }),
    ],
  });
  const metrics = new CountingMetrics();
  const known = 'client' in over ? over.client : client;
  const pod = { info: { name: 'client', namespace: 'default', serviceAccount: 'default' }, workload: () => known };
  const made = new DnsAnswerer(pod as ProxiedPod, forwarder(over.servers ?? []), {
    store,
    metrics,
    clock: systemClock,
    random: () => 0.5,
    log: silentLogger,
    settings: {
      clusterDomain: 'cluster.local',
      preferredNamespace: undefined,
      ipv6: true,
      fromMesh: over.fromMesh ?? true,
    },
  });
  const ask = async (bytes: Buffer, transport: 'udp' | 'tcp' = 'udp') => {
    const reply = await made.answer(bytes, transport, signal);
    return reply && dns.decode(reply);
  };
  return { ask, metrics, made };
}

const code = (p: dns.DecodedPacket | undefined) => (p as unknown as { rcode: string }).rcode;

test('a service is answered with authority, for 30 s, in the family asked for', async () => {
  const { ask, metrics } = answerer();
  const four = await ask(query('Web.default.svc.cluster.local.'));
  assert.equal(four!.id, 77);
  assert.equal(four!.flag_aa, true);
  assert.equal(four!.flag_ra, true);
  assert.equal(four!.flag_rd, true);
  assert.deepEqual(
    four!.answers!.map((a) => [a.type, (a as dns.StringAnswer).data, (a as dns.StringAnswer).ttl]),
    [['A', '10.96.0.1', 30]],
  );
  const six = await ask(query('web.default.svc.cluster.local', 'AAAA'));
  assert.deepEqual(
    six!.answers!.map((a) => (a as dns.StringAnswer).data),
    ['fd00::1'],
  );
  assert.deepEqual(metrics.seen, ['request', 'request']);
});

test('a family that a service does not have is an empty answer, not a missing name', async () => {
  const none = await answerer().ask(query('four.default.svc.cluster.local', 'AAAA'));
  assert.equal(code(none), 'NOERROR');
  assert.equal(none!.flag_aa, true);
  assert.deepEqual(none!.answers, []);
});

test('EDNS is echoed; without it a long answer is cut, and whole over TCP', async () => {
  const { ask } = answerer();
  const name = 'wide.default.svc.cluster.local';
  const plain = await ask(query(name));
  assert.equal(plain!.flag_tc, true);
  assert.deepEqual(plain!.answers, []);
  const edns = await ask(query(name, 'A', { additionals: [opt(1232)] }));
  assert.equal(edns!.flag_tc, false);
  assert.equal(edns!.answers!.length, 15);
  const echoed = edns!.additionals![0] as dns.OptAnswer;
  assert.equal(echoed.udpPayloadSize, 1232);
  assert.equal(echoed.flag_do, true);
  assert.equal((await ask(query(name), 'tcp'))!.answers!.length, 15);
});

test('what is no query is answered with the code for it, and noise with nothing', async () => {
  const { ask } = answerer();
  const name = 'web.default.svc.cluster.local';
  assert.equal(code(await ask(query(name, 'A', { type: 'response' }))), 'FORMERR');
  assert.equal(code(await ask(query(name, 'A', { flags: 2 << 11 }))), 'NOTIMP');
  assert.equal(code(await ask(query(name, 'A', { questions: [] }))), 'FORMERR');
  assert.equal(await ask(Buffer.from('short')), undefined);
});

test('a pod that the mesh does not know gets SERVFAIL', async () => {
  assert.equal(code(await answerer({ client: undefined }).ask(query('web.default.svc.cluster.local'))), 'SERVFAIL');
});

test('everything else is forwarded under another id, and comes back under the own', async () => {
  const server = await nameserver((q) => answer(q, '192.0.2.1'));
  try {
    const { ask, metrics } = answerer({ servers: [server.address] });
    for (const transport of ['udp', 'tcp'] as const) {
      const reply = await ask(query('example.com'), transport);
      assert.equal(reply!.id, 77);
      assert.equal((reply!.answers![0] as dns.StringAnswer).data, '192.0.2.1');
    }
    assert.equal((await ask(query('web.default.svc.cluster.local', 'MX')))!.id, 77);
    assert.equal(server.asked.length, 3);
    assert.ok(server.asked.some((q) => q.readUInt16BE(0) !== 77));
    assert.deepEqual(metrics.seen, ['request', 'upstream', 'request', 'upstream', 'request', 'upstream']);
    const forwardOnly = answerer({ servers: [server.address], fromMesh: false });
    await forwardOnly.ask(query('web.default.svc.cluster.local'));
    assert.equal(server.asked.length, 4);
  } finally {
    server.close();
  }
});

test('an answer to another question is not believed', async () => {
  const server = await nameserver((q) => {
    const wrongName = dns.encode({
      ...dns.decode(answer(q, '6.6.6.6')),
      questions: [{ type: 'A', name: 'evil.example' }],
    });
    const wrongId = answer(q, '6.6.6.6');
    wrongId.writeUInt16BE(q.readUInt16BE(0) ^ 1, 0);
    return server.asked.length === 1 ? wrongName : server.asked.length === 2 ? wrongId : answer(q, '192.0.2.1');
  });
  try {
    const clock = new FakeClock();
    const two = forwarder([server.address, server.address, server.address], clock);
    const asked = two.forward(query('example.com'), 'udp', signal);
    for (const n of [1, 2]) {
      await until('the query', () => server.asked.length === n);
      clock.advance(2_000);
    }
    const reply = dns.decode(await asked);
    assert.equal((reply.answers![0] as dns.StringAnswer).data, '192.0.2.1');
  } finally {
    server.close();
  }
});

test('a silent server is left for the next; when all are silent it is SERVFAIL', async () => {
  const silent = await nameserver(() => undefined);
  const clock = new FakeClock();
  try {
    const asked = forwarder([silent.address, silent.address], clock).forward(query('example.com'), 'udp', signal);
    for (const n of [1, 2]) {
      await until('the query', () => silent.asked.length === n);
      clock.advance(2_000);
    }
    await assert.rejects(asked, (e: MeshError) => e.code === 'CONNECT_FAILED');
    assert.equal(code(await answerer({ servers: [] }).ask(query('example.com'))), 'SERVFAIL');
  } finally {
    silent.close();
  }
});

test('queries that wait are bounded', async () => {
  const f = new Forwarder({
    servers: [{ ip: loopback, port: 53 as Port }],
    clock: new FakeClock(),
    datagram: () => new Promise(() => undefined),
    connect: () => new Promise(() => undefined),
  });
  for (let i = 0; i < 256; i++) void f.forward(query('example.com'), 'udp', signal);
  await assert.rejects(
    f.forward(query('example.com'), 'udp', signal),
    (e: MeshError) => e.code === 'DESCRIPTORS_EXHAUSTED',
  );
});

test('any bytes are read without an exception, and any query survives', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      const parsed = parseQuery(Buffer.from(bytes));
      assert.ok(['query', 'error', 'noise'].includes(parsed.kind));
      assert.equal(typeof answers(query('a.b'), Buffer.from(bytes)), 'boolean');
    }),
  );
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 6 }), (labels) => {
      const parsed = parseQuery(query(labels.join('.').toUpperCase()));
      assert.ok(parsed.kind === 'query');
      assert.equal(parsed.query.name, labels.join('.'));
    }),
  );
});

test('a reply never exceeds what the client takes', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 200 }), fc.option(fc.integer({ min: 1, max: 65_535 })), (count, size) => {
      const parsed = parseQuery(query('x.example', 'A', size === null ? {} : { additionals: [opt(size)] }));
      assert.ok(parsed.kind === 'query');
      const records = Array.from({ length: count }, () => ({
        name: 'x.example',
        type: 'A' as const,
        data: '10.0.0.1',
        ttl: 30,
      }));
      const reply = fitUdp(parsed.query, recordsReply(parsed.query, records));
      assert.ok(reply.length <= Math.min(1232, Math.max(512, size ?? 512)));
    }),
  );
});

test('messages over TCP are cut right however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (messages, cuts) => {
        const stream = Buffer.concat(messages.map((m) => framed(Buffer.from(m))));
        const reader = new MessageReader();
        const got: Buffer[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const end = at + cuts[i % cuts.length]!;
          got.push(...reader.push(stream.subarray(at, end)).map((m) => Buffer.from(m)));
          at = end;
        }
        assert.deepEqual(
          got,
          messages.map((m) => Buffer.from(m)),
        );
      },
    ),
  );
});

test('name servers are those of resolv.conf, three at most', () => {
  const text =
    '# c\nnameserver 10.0.0.10\nsearch a b\n nameserver fd00::a \nnameserver nonsense\nnameserver 1.1.1.1\nnameserver 2.2.2.2\n';
  assert.deepEqual(
    nameservers(text).map((s) => s.ip),
    ['10.0.0.10', 'fd00::a', '1.1.1.1'],
  );
  assert.deepEqual(nameservers(''), [{ ip: '127.0.0.1', port: 53 }]);
});

test('TCP port of a server that is not there is reported', async () => {
  const server = createServer();
  server.listen(0, loopback);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  await assert.rejects(
    forwarder([{ ip: loopback, port: port as Port }]).forward(query('x.example'), 'tcp', signal),
    MeshError,
  );
});
