import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ipToBytes, parseIp } from '../common/core/net.ts';
import { countBytes, countTlsRecords, readPackets, readTcp } from './pcap.ts';

interface Segment {
  readonly from: string;
  readonly to: string;
  readonly ports: readonly [number, number];
  readonly sequence: number;
  readonly payload: Uint8Array;
}

function tcp(s: Segment): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(s.ports[0], 0);
  header.writeUInt16BE(s.ports[1], 2);
  header.writeUInt32BE(s.sequence >>> 0, 4);
  header[12] = 5 << 4;
  return Buffer.concat([header, s.payload]);
}

function ip(s: Segment, protocol: number, body: Buffer): Buffer {
  const [from, to] = [ipToBytes(parseIp(s.from)!), ipToBytes(parseIp(s.to)!)];
  if (from.length === 4) {
    const header = Buffer.alloc(20);
    header[0] = 0x45;
    header.writeUInt16BE(20 + body.length, 2);
    header[9] = protocol;
    header.set(from, 12);
    header.set(to, 16);
    return Buffer.concat([header, body]);
  }
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(body.length, 4);
  header[6] = protocol;
  header.set(from, 8);
  header.set(to, 24);
  return Buffer.concat([header, body]);
}

/** Linux cooked v2 frames, as tcpdump writes them for the interface `any`. */
function frame(packet: Buffer, padding = 0): Buffer {
  const link = Buffer.alloc(20);
  link.writeUInt16BE(packet[0]! >> 4 === 4 ? 0x0800 : 0x86dd, 0);
  return Buffer.concat([link, packet, Buffer.alloc(padding)]);
}

function pcap(frames: readonly Buffer[], linkType = 276): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt32LE(linkType, 20);
  const packets = frames.flatMap((f) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(f.length, 8);
    record.writeUInt32LE(f.length, 12);
    return [record, f];
  });
  return Buffer.concat([header, ...packets]);
}

const v4 = { from: '10.244.1.2', to: '10.244.2.3', ports: [40_000, 8080] } as const;
const v6 = { from: 'fd00:10:244:1::2', to: 'fd00:10:244:2::3', ports: [40_000, 15_008] } as const;
const segment = (of: typeof v4 | typeof v6, sequence: number, payload: string | Uint8Array): Segment => ({
  ...of,
  sequence,
  payload: Buffer.from(payload as string),
});
const capture = (...segments: Segment[]) => pcap(segments.map((s) => frame(ip(s, 6, tcp(s)))));

describe('readTcp', () => {
  test('gives addresses, ports and payload of both families, without the padding of short frames', () => {
    const [one, two] = [segment(v4, 1, 'x'), segment(v6, 1, 'yy')];
    const file = pcap([frame(ip(one, 6, tcp(one)), 9), frame(ip(two, 6, tcp(two)))]);
    const seen = readTcp(file).map((s) => [s.source, s.destination, Buffer.from(s.payload).toString()]);
    assert.deepEqual(seen, [
      [{ ip: v4.from, port: 40_000 }, { ip: v4.to, port: 8080 }, 'x'],
      [{ ip: v6.from, port: 40_000 }, { ip: v6.to, port: 15_008 }, 'yy'],
    ]);
    assert.equal(readPackets(file).length, 2);
  });

  test('a file that is cut off is read up to there, one that is no pcap is refused', () => {
    const file = capture(segment(v4, 1, 'x'), segment(v4, 2, 'y'));
    assert.equal(readTcp(file.subarray(0, file.length - 1)).length, 1);
    assert.throws(() => readTcp(Buffer.from('hello, this is not a capture')), /unknown magic/);
    assert.throws(() => readTcp(Buffer.alloc(3)), /shorter than its header/);
    assert.throws(() => readTcp(pcap([Buffer.alloc(40)], 228)), /link type 228/);
  });

  test('no bytes make it fail otherwise', () => {
    const header = capture().subarray(0, 24);
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.uint8Array({ minLength: 20, maxLength: 120 }),
        (rest, packet) => {
          readTcp(Buffer.concat([header, rest]));
          readTcp(pcap([Buffer.from(packet), frame(Buffer.from(packet))]));
        },
      ),
    );
  });
});

describe('countBytes', () => {
  const marker = Buffer.from('0123456789abcdef0123456789abcdef');

  test('finds a marker however it is cut, doubled and shuffled, also where the numbers wrap', () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 95 }), { maxLength: 6 });
    fc.assert(
      fc.property(
        cuts,
        fc.integer({ min: 0, max: 64 }),
        fc.constantFrom(7, 0xffff_fff0),
        fc.nat(),
        (at, place, first, seed) => {
          const stream = Buffer.alloc(96, '.');
          marker.copy(stream, place);
          const edges = [0, ...at.sort((a, b) => a - b), 96];
          const pieces = edges
            .slice(1)
            .map((end, i) => segment(v4, first + edges[i]!, stream.subarray(edges[i]!, end)));
          // The first stays first: a capture sees the beginning of a connection before the rest.
          const [head, ...tail] = [...pieces, pieces.at(-1)!];
          const shuffled = tail.map((s, i) => ({ s, key: (seed * (i + 3)) % 101 })).sort((a, b) => a.key - b.key);
          assert.equal(countBytes(capture(head!, ...shuffled.map((x) => x.s)), marker), 1);
        },
      ),
    );
  });

  test('does not join what belongs to different connections, directions or sides of a gap', () => {
    const half = [marker.subarray(0, 16), marker.subarray(16)] as const;
    assert.equal(
      countBytes(
        capture(segment(v4, 1, half[0]), segment({ ...v4, ports: [40_001, 8080] } as never, 17, half[1])),
        marker,
      ),
      0,
    );
    assert.equal(countBytes(capture(segment(v4, 1, half[0]), segment(v4, 18, half[1])), marker), 0);
    assert.equal(countBytes(capture(segment(v4, 1, half[0]), segment(v4, 17, half[1])), marker), 1);
  });

  test('looks into packets that are not TCP', () => {
    const udp = { ...v4, sequence: 0, payload: marker };
    assert.equal(countBytes(pcap([frame(ip(udp, 17, marker))]), marker), 1);
  });
});

describe('countTlsRecords', () => {
  const record = (type: number, length: number) => {
    const bytes = Buffer.alloc(5 + length, 0xee);
    bytes[0] = type;
    bytes.writeUInt16BE(0x0303, 1);
    bytes.writeUInt16BE(length, 3);
    return bytes;
  };

  test('counts application data of a port, over the borders of segments', () => {
    const stream = Buffer.concat([record(22, 40), record(20, 1), record(23, 100), record(23, 30)]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: stream.length - 1 }), (cut) => {
        const file = capture(segment(v6, 1, stream.subarray(0, cut)), segment(v6, 1 + cut, stream.subarray(cut)));
        assert.equal(countTlsRecords(file, 15_008), 2);
        assert.equal(countTlsRecords(file, 40_000), 2);
        assert.equal(countTlsRecords(file, 8080), 0);
      }),
    );
  });

  test('finds its place in a connection that was open before the capture', () => {
    const file = capture(
      segment(v6, 1, 'the rest of a record'),
      segment(v6, 21, record(23, 9)),
      segment(v6, 35, record(23, 9)),
    );
    assert.equal(countTlsRecords(file, 15_008), 2);
  });

  test('plain text has none', () => {
    assert.equal(countTlsRecords(capture(segment(v6, 1, 'GET / HTTP/1.1\r\n\r\n')), 15_008), 0);
  });
});
