/** cni/capture/ebpf/abi.ts against the compiled object: sizes, offsets and counter names; and its own round trip. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { counterNames, decodePod, directCounterNames, encodePod, layout } from '../../../cni/capture/ebpf/abi.ts';
import { programs } from '../../../cni/capture/ebpf/programs.ts';
import { type Ip, ipFromBytes } from '../../../common/core/net.ts';
import { bpfReadOnlyData, loadBpf } from '../../../native/index.ts';
import { skipUnless } from '../../harness/require.ts';
import { objectPath } from '../bed.ts';

describe('layout shared with the eBPF programs', () => {
  it('is the one of the compiled object', { skip: skipUnless('ebpf') }, () => {
    const abi = Buffer.from(bpfReadOnlyData(objectPath));
    const words = Array.from({ length: 12 }, (_, i) => abi.readUInt32LE(i * 4));
    const { pod, podAddress, listenerKey, flow } = layout;
    assert.deepEqual(words, [
      pod.size,
      pod.ip4,
      pod.ip6,
      pod.outbound,
      pod.dnsUdp,
      pod.dnsTcp,
      pod.uid,
      podAddress.size,
      podAddress.flags,
      listenerKey.size,
      flow.size,
      counterNames.length,
    ]);
    const names = counterNames.map((_, i) => {
      const name = abi.subarray(48 + i * 32, 48 + (i + 1) * 32);
      return name.subarray(0, name.indexOf(0)).toString();
    });
    assert.deepEqual(names, [...counterNames]);
    const second = 48 + counterNames.length * 32;
    const { verdictKey, verdict, directFlow, directEvent } = layout;
    assert.deepEqual(
      Array.from({ length: 5 }, (_, i) => abi.readUInt32LE(second + i * 4)),
      [verdictKey.size, verdict.size, directFlow.size, directEvent.size, directCounterNames.length],
    );
    const directNames = directCounterNames.map((_, i) => {
      const name = abi.subarray(second + 20 + i * 32, second + 20 + (i + 1) * 32);
      return name.subarray(0, name.indexOf(0)).toString();
    });
    assert.deepEqual(directNames, [...directCounterNames]);
  });

  it('names every program of the object', { skip: skipUnless('ebpf') }, () => {
    const object = loadBpf(objectPath);
    try {
      assert.deepEqual([...object.programs].sort(), programs.map((p) => p.name).sort());
    } finally {
      object.close();
    }
  });

  const port = fc.integer({ min: 0, max: 65_535 });
  const plain = { noNullPrototype: true } as const;
  const ports = fc.record({ v4: port, v6: port }, plain);
  const address = (length: 4 | 16) =>
    fc
      .uint8Array({ minLength: length, maxLength: length })
      .map((b) => ipFromBytes(b) as Ip)
      .filter((ip) => ip !== '::' && ip.includes(':') === (length === 16));
  const entry = fc.record(
    {
      uid: fc.stringMatching(/^[a-z0-9-]{1,63}$/),
      failOpen: fc.boolean(),
      ips: fc.tuple(fc.option(address(4)), fc.option(address(16))).map((ips) => ips.filter((ip) => ip !== null)),
      outbound: ports,
      dnsUdp: fc.option(ports, { nil: undefined }),
      dnsTcp: fc.option(ports, { nil: undefined }),
    },
    plain,
  );

  it('decodes what it encodes', () => {
    fc.assert(fc.property(entry, (pod) => assert.deepEqual(decodePod(encodePod(pod)), pod)));
  });

  it('refuses what does not fit, naming it', () => {
    const pod = {
      uid: 'u',
      failOpen: false,
      ips: [],
      outbound: { v4: 1, v6: 1 },
      dnsUdp: undefined,
      dnsTcp: undefined,
    };
    assert.throws(() => encodePod({ ...pod, uid: 'x'.repeat(64) }), /pod uid "x+" must have 1 to 63 bytes/);
    assert.throws(() => encodePod({ ...pod, uid: '' }), /pod uid/);
    assert.throws(() => encodePod({ ...pod, ips: ['10.0.0.1' as Ip, '10.0.0.2' as Ip] }), /has 2 IPv4 addresses/);
  });
});
