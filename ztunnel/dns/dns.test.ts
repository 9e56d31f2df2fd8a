/** The DNS proxy on real loopback sockets: what it answers, what it forwards, what it refuses. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import dns from 'dns-packet';
import fc from 'fast-check';
import { type Clock, systemClock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import { createLogger, type Logger, LogLevels, silentLogger } from '../../common/core/log.ts';
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
import { nameservers, searchList } from './resolv-conf.ts';

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

/** Who asked, by UDP. */
interface Asker {
  readonly port: number;
  send(answer: Buffer): void;
}

/** A name server on loopback; `reply` undefined keeps silent. */
async function nameserver(reply: (q: Buffer, from: Asker) => Buffer | undefined) {
  const udp = createSocket('udp4');
  const asked: Buffer[] = [];
  udp.on('message', (bytes, from) => {
    asked.push(bytes);
    const asker = { port: from.port, send: (b: Buffer) => udp.send(b, from.port, from.address) };
    const answer = reply(bytes, asker);
    if (answer) asker.send(answer);
  });
  const tcp = createServer((socket) => {
    const reader = new MessageReader();
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk)) {
        asked.push(message);
        const answer = reply(message, { port: 0, send: (b) => socket.write(framed(b)) });
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

function forwarder(servers: readonly SocketAddr[], clock: Clock = systemClock): Forwarder {
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
  malformed(): void {
    this.seen.push('malformed');
  }
}

const client = workload({ name: 'client', addresses: [ip('10.0.0.1')] });

function answerer(
  over: {
    readonly client?: Workload | undefined;
    readonly fromMesh?: boolean;
    readonly servers?: readonly SocketAddr[];
    readonly searchDomains?: readonly string[];
    readonly clock?: Clock;
    readonly log?: Logger;
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
  const made = new DnsAnswerer(pod as ProxiedPod, forwarder(over.servers ?? [], over.clock), {
    store,
    metrics,
    clock: systemClock,
    random: () => 0.5,
    log: over.log ?? silentLogger,
    settings: {
      clusterDomain: 'cluster.local',
      preferredNamespace: undefined,
      searchDomains: over.searchDomains,
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

test('an answer to another question, under another id or from elsewhere is not believed; the right one still counts', async () => {
  const stranger = createSocket('udp4');
  const lies: Buffer[] = [];
  const server = await nameserver((q, from) => {
    const wrongName = dns.encode({
      ...dns.decode(answer(q, '6.6.6.6')),
      questions: [{ type: 'A', name: 'evil.example' }],
    });
    const wrongId = answer(q, '6.6.6.6');
    wrongId.writeUInt16BE(q.readUInt16BE(0) ^ 1, 0);
    const noResponse = answer(q, '6.6.6.6');
    noResponse[2]! &= 0x7f;
    lies.push(wrongName, wrongId, noResponse, answer(q, '6.6.6.6').subarray(0, 14));
    for (const lie of lies.slice(-4)) from.send(lie);
    stranger.send(answer(q, '6.6.6.6'), from.port, loopback, () => from.send(answer(q, '192.0.2.1')));
    return undefined;
  });
  try {
    for (let i = 0; i < 20; i++) {
      const reply = dns.decode(await forwarder([server.address]).forward(query('example.com'), 'udp', signal));
      assert.equal((reply.answers![0] as dns.StringAnswer).data, '192.0.2.1');
    }
    assert.equal(lies.length, 80);
  } finally {
    stranger.close();
    server.close();
  }
});

test('a silent server is left for the next within 1.5 s; when all are silent it is SERVFAIL within 4.5 s', async () => {
  const silent = await nameserver(() => undefined);
  const other = await nameserver((q) => answer(q, '192.0.2.2'));
  const clock = new FakeClock();
  try {
    const asked = forwarder([silent.address, other.address], clock).forward(query('example.com'), 'udp', signal);
    await until('the query', () => silent.asked.length === 1);
    clock.advance(1_499);
    assert.equal(other.asked.length, 0);
    clock.advance(1);
    assert.equal((dns.decode(await asked).answers![0] as dns.StringAnswer).data, '192.0.2.2');

    const inVain = forwarder([silent.address], clock).forward(query('example.com'), 'udp', signal);
    const refused = assert.rejects(inVain, (e: MeshError) => e.code === 'CONNECT_FAILED');
    for (const n of [2, 3, 4]) {
      await until('the query', () => silent.asked.length === n);
      clock.advance(1_500);
    }
    await refused;
    assert.equal(new Set(silent.asked.map((q) => q.readUInt16BE(0))).size > 1, true, 'each under its own id');
    assert.equal(code(await answerer({ servers: [] }).ask(query('example.com'))), 'SERVFAIL');
  } finally {
    silent.close();
    other.close();
  }
});

test('a server that is slow is heard out: its answer to the first question counts after the second was asked', async () => {
  const held: (() => void)[] = [];
  const slow = await nameserver((q, from) => void held.push(() => from.send(answer(q, '192.0.2.3'))));
  const clock = new FakeClock();
  try {
    const asked = forwarder([slow.address], clock).forward(query('example.com'), 'udp', signal);
    await until('the first', () => held.length === 1);
    clock.advance(1_500);
    await until('the second', () => held.length === 2);
    held[0]!();
    assert.equal((dns.decode(await asked).answers![0] as dns.StringAnswer).data, '192.0.2.3');
  } finally {
    slow.close();
  }
});

test('names of the mesh are answered at once while more queries than may wait hang on a dead name server', async () => {
  const dead = await nameserver(() => undefined);
  const { ask, made, metrics } = answerer({ servers: [dead.address], clock: new FakeClock() });
  const stop = new AbortController();
  try {
    const hanging = Array.from({ length: 400 }, (_, i) => made.answer(query(`n${i}.example`), 'udp', stop.signal));
    for (let i = 0; i < 200; i++) {
      const reply = await ask(query('web.default.svc.cluster.local'));
      assert.equal((reply!.answers![0] as dns.StringAnswer).data, '10.96.0.1');
    }
    const atOnce = await Promise.all(hanging.slice(256));
    assert.ok(
      atOnce.every((r) => code(dns.decode(r!)) === 'SERVFAIL'),
      'beyond the limit it says so',
    );
    stop.abort();
    assert.ok((await Promise.all(hanging)).every((r) => code(dns.decode(r!)) === 'SERVFAIL'));
    assert.equal(metrics.seen.filter((s) => s === 'failed').length, 400);
  } finally {
    dead.close();
  }
});

test('what a name server says is passed on by its code, as an answer without authority', async () => {
  const server = await nameserver((q) => {
    const { id, questions } = dns.decode(q);
    return dns.encode({ type: 'response', id: id!, questions: questions!, flags: dns.AUTHORITATIVE_ANSWER | 3 });
  });
  try {
    const reply = await answerer({ servers: [server.address] }).ask(query('nowhere.example'));
    assert.deepEqual([code(reply), reply!.flag_aa, reply!.id], ['NXDOMAIN', false, 77]);
  } finally {
    server.close();
  }
});

/** A query whose name has these labels, byte for byte. */
function rawQuery(...labels: readonly Buffer[]): Buffer {
  const name = Buffer.concat([...labels.map((l) => Buffer.concat([Buffer.of(l.length), l])), Buffer.of(0, 0, 1, 0, 1)]);
  return Buffer.concat([query('x').subarray(0, 12), name]);
}

test('a name whose text would not be its bytes is none of the mesh, and is repeated byte for byte', async () => {
  const { ask, made } = answerer();
  for (const labels of [
    [Buffer.from('web.default'), Buffer.from('svc'), Buffer.from('cluster'), Buffer.from('local')],
    [Buffer.alloc(63, 0xff), Buffer.from('example')],
    [Buffer.from('a b')],
    [Buffer.from('\0')],
  ]) {
    const asked = rawQuery(...labels);
    const reply = (await made.answer(asked, 'udp', signal))!;
    assert.equal(reply.readUInt16BE(2) & 0xf, 2, 'SERVFAIL, since there is no name server');
    assert.deepEqual(reply.subarray(12), asked.subarray(12));
  }
  const mixed = rawQuery(...['wEb', 'Default', 'svc', 'cluster', 'LOCAL'].map((l) => Buffer.from(l)));
  const reply = (await made.answer(mixed, 'udp', signal))!;
  assert.deepEqual(reply.subarray(12, mixed.length), mixed.subarray(12), 'its case, too');
  assert.equal((dns.decode(reply).answers![0] as dns.StringAnswer).data, '10.96.0.1');
  const twoOptions = await ask(query('web.default', 'A', { additionals: [opt(1232), opt(4096)] }));
  assert.equal(code(twoOptions), 'FORMERR');
  const pointer = Buffer.concat([query('x').subarray(0, 12), Buffer.of(0xc0, 4, 0, 1, 0, 1)]);
  assert.equal(code(await ask(pointer)), 'FORMERR');
});

test('no damage of a query makes an answer fail, and whatever is answered is a response to it', async () => {
  const { made } = answerer();
  const whole = query('web.default.svc.cluster.local', 'A', { additionals: [opt(1232)] });
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 600 }).map((b) => Buffer.from(b)),
    fc.array(fc.tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 })), { maxLength: 4 }).map((flips) => {
      const damaged = Buffer.from(whole);
      for (const [at, value] of flips) damaged[at] = value;
      return damaged;
    }),
    fc.nat({ max: whole.length }).map((cut) => whole.subarray(0, cut)),
  );
  await fc.assert(
    fc.asyncProperty(bytes, fc.constantFrom('udp' as const, 'tcp' as const), async (message, transport) => {
      const reply = await made.answer(message, transport, signal);
      if (!reply) return assert.ok(message.length < 12);
      assert.equal(reply.readUInt16BE(0), message.readUInt16BE(0));
      assert.ok(reply.readUInt16BE(2) & 0x8000);
      if (transport === 'udp') assert.ok(reply.length <= 1232);
    }),
    { numRuns: 2_000 },
  );
});

test('each query is one line of the log, with the keys of ztunnel', async () => {
  const lines: string[] = [];
  const log = createLogger(
    { levels: new LogLevels('debug'), format: 'plain', write: (l) => void lines.push(l) },
    'dns',
  );
  const { ask } = answerer({ log });
  await ask(query('web.default'));
  await ask(query('elsewhere.example', 'MX'));
  assert.match(
    lines[0]!,
    /debug\tdns\tdns query src\.workload="client" src\.namespace="default" query="A" domain="web\.default" result="answered from the mesh" endpoints="10\.96\.0\.1"$/,
  );
  assert.match(
    lines[1]!,
    /query="MX" domain="elsewhere\.example" result="there is no name server to ask" endpoints=""$/,
  );
  assert.equal(lines.length, 2);
});

test('a dedicated proxy goes by the search list of its machine', async () => {
  const { ask } = answerer({ searchDomains: ['corp.example'] });
  const reply = await ask(query('web.default.corp.example'));
  assert.deepEqual(
    reply!.answers!.map((a) => `${a.name} ${a.type} ${(a as dns.StringAnswer).data}`),
    ['web.default.corp.example CNAME web.default', 'web.default A 10.96.0.1'],
  );
  assert.deepEqual(searchList('search a.example B.example.\ndomain c.example\nsearch  d.example\n'), ['d.example']);
  assert.deepEqual(searchList('nameserver 1.1.1.1\n'), []);
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
