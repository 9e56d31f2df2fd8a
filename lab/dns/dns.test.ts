import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type DecodedPacket, decode, encode, type RecordType, TRUNCATED_RESPONSE } from 'dns-packet';
import fc from 'fast-check';
import type { Service } from '../../common/kube/kinds/core.ts';
import type { EndpointSlice } from '../../common/kube/kinds/discovery.ts';
import { answer } from './answer.ts';
import { type DnsServer, startDnsServer } from './server.ts';
import { buildZone, reverseName, type Zone } from './zone.ts';

const metadata = (name: string) => ({ name, namespace: 'shop', uid: name, resourceVersion: '1' });
const services: Service[] = [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadata('web'),
    spec: { clusterIPs: ['10.96.0.5', 'fd00:10:96::5'], ports: [{ name: 'http', port: 80 }] },
  },
  { apiVersion: 'v1', kind: 'Service', metadata: metadata('each'), spec: { clusterIP: 'None' } },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadata('alias'),
    spec: { type: 'ExternalName', externalName: 'web.shop.svc.cluster.local' },
  },
];
const slices: EndpointSlice[] = [
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { ...metadata('each-1'), labels: { 'kubernetes.io/service-name': 'each' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: [
      { addresses: ['10.244.1.2'], hostname: 'first' },
      { addresses: ['10.244.1.3'] },
      { addresses: ['10.244.1.4'], conditions: { ready: false } },
    ],
  },
];
const zone = buildZone(services, slices);

function ask(name: string, type: RecordType): DecodedPacket {
  const query = decode(encode({ type: 'query', id: 7, questions: [{ name, type }] }));
  return decode(encode(answer(query, zone)));
}
/** RFC 1035 section 4.1.1: 0 is no error, 3 a name that does not exist. */
const rcode = (packet: DecodedPacket) => (packet.flags ?? 0) & 0xf;
const data = (name: string, type: RecordType) => (ask(name, type).answers ?? []).map((a) => 'data' in a && a.data);

describe('the names of a cluster', () => {
  test('a Service has its addresses, ports and reverse names', () => {
    assert.deepEqual(data('web.shop.svc.cluster.local', 'A'), ['10.96.0.5']);
    assert.deepEqual(data('WEB.shop.SVC.cluster.local', 'AAAA'), ['fd00:10:96::5']);
    assert.deepEqual(data('5.0.96.10.in-addr.arpa', 'PTR'), ['web.shop.svc.cluster.local']);
    const [srv] = data('_http._tcp.web.shop.svc.cluster.local', 'SRV');
    assert.deepEqual(srv, { priority: 0, weight: 100, port: 80, target: 'web.shop.svc.cluster.local' });
  });

  test('a headless Service has its ready pods, each also by a name of its own', () => {
    assert.deepEqual(data('each.shop.svc.cluster.local', 'A'), ['10.244.1.2', '10.244.1.3']);
    assert.deepEqual(data('first.each.shop.svc.cluster.local', 'A'), ['10.244.1.2']);
    assert.deepEqual(data('10-244-1-3.each.shop.svc.cluster.local', 'A'), ['10.244.1.3']);
  });

  test('an alias is answered together with what it leads to', () => {
    assert.deepEqual(data('alias.shop.svc.cluster.local', 'A'), ['web.shop.svc.cluster.local', '10.96.0.5']);
  });

  test('a name without such a record is no error, a name that is not there is NXDOMAIN, both with an SOA', () => {
    for (const [name, type] of [
      ['each.shop.svc.cluster.local', 'AAAA'],
      ['shop.svc.cluster.local', 'A'],
      ['cluster.local', 'A'],
    ] as const) {
      const response = ask(name, type);
      assert.equal(rcode(response), 0, name);
      assert.deepEqual(response.answers, []);
      assert.equal(response.authorities?.[0]?.type, 'SOA');
    }
    for (const name of ['gone.shop.svc.cluster.local', 'example.com', 'constructor', '__proto__']) {
      const response = ask(name, 'A');
      assert.equal(rcode(response), 3, name);
      assert.equal(response.authorities?.[0]?.type, 'SOA');
    }
  });

  test('reverse names of IPv6 have every digit', () => {
    assert.equal(reverseName('fd00:10:96::5'), `5${'.0'.repeat(19)}.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa`);
    assert.equal(reverseName('fd00:10:96::5').split('.').length, 34);
  });
});

describe('the server', () => {
  let server: DnsServer;
  let served: Zone = zone;
  before(async () => {
    server = await startDnsServer({ port: 0, zone: () => served });
  });
  after(() => server.close());

  async function udp(message: Uint8Array): Promise<Buffer> {
    const socket = createSocket('udp4');
    socket.send(message, server.port, '127.0.0.1');
    const [reply] = (await once(socket, 'message')) as [Buffer];
    socket.close();
    return reply;
  }

  async function tcp(messages: readonly Buffer[]): Promise<Buffer[]> {
    const socket = connect(server.port, '127.0.0.1');
    for (const m of messages) {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(m.length);
      // Byte by byte: a message may come in any pieces.
      for (const byte of Buffer.concat([length, m])) socket.write(Buffer.from([byte]));
    }
    const replies: Buffer[] = [];
    let pending: Buffer = Buffer.alloc(0);
    for await (const chunk of socket) {
      pending = Buffer.concat([pending, chunk as Buffer]);
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        replies.push(pending.subarray(2, 2 + pending.readUInt16BE(0)));
        pending = pending.subarray(2 + pending.readUInt16BE(0));
      }
      if (replies.length === messages.length) break;
    }
    return replies;
  }

  const query = (name: string) => encode({ type: 'query', id: 9, questions: [{ name, type: 'A' }] });

  test('answers over UDP and TCP, several questions on one connection', async () => {
    const one = decode(await udp(query('web.shop.svc.cluster.local')));
    assert.equal(one.id, 9);
    const both = await tcp([query('web.shop.svc.cluster.local'), query('gone.example')]);
    assert.deepEqual(
      both.map((m) => rcode(decode(m))),
      [0, 3],
    );
  });

  test('an answer that UDP cannot carry is cut and complete over TCP', async () => {
    const records = Array.from({ length: 100 }, (_, i) => ({ type: 'A', value: `10.0.0.${i}` }) as const);
    served = { 'big.example': records };
    const cut = decode(await udp(query('big.example')));
    assert.ok((cut.flags ?? 0) & TRUNCATED_RESPONSE);
    assert.deepEqual(cut.answers, []);
    const [whole] = await tcp([query('big.example')]);
    assert.equal(decode(whole!).answers?.length, 100);
    served = zone;
  });

  test('garbage gets no answer and does no harm', async () => {
    const socket = createSocket('udp4');
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
        await new Promise((resolve) => socket.send(bytes, server.port, '127.0.0.1', resolve));
      }),
      { numRuns: 200 },
    );
    socket.close();
    const stream = connect(server.port, '127.0.0.1');
    stream.end(Buffer.from([0, 3, 1, 2, 3]));
    stream.resume();
    await once(stream, 'close');
    assert.equal(rcode(decode(await udp(query('web.shop.svc.cluster.local')))), 0);
  });
});
