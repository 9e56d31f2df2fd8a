import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  addressMessage,
  deltaResponseMessage,
  discoveryResponseMessage,
  workloadTypeUrl,
} from '../../common/api/index.ts';
import { encodeDelta, encodeResource, encodeState, workloadOf } from './wire.ts';

const value = fc.uint8Array({ maxLength: 300 });
const text = fc.string({ unit: 'grapheme', maxLength: 200 });
const resource = fc.record({ name: text, version: text, aliases: fc.array(text, { maxLength: 3 }), value });

test('delta responses decode to what was encoded', () => {
  const delta = fc.record({
    typeUrl: text,
    nonce: text,
    resources: fc.array(resource, { maxLength: 20 }),
    removed: fc.array(text, { maxLength: 5 }),
  });
  fc.assert(
    fc.property(delta, (d) => {
      const back = deltaResponseMessage.decode(
        encodeDelta({ ...d, resources: d.resources.map((r) => encodeResource(r, d.typeUrl)) }),
      );
      assert.equal(back.typeUrl, d.typeUrl);
      assert.equal(back.nonce, d.nonce);
      assert.deepEqual(back.removedResources, d.removed);
      assert.deepEqual(
        back.resources.map((r) => [r.name, r.version, r.aliases, r.resource!.type_url, Buffer.from(r.resource!.value)]),
        d.resources.map((r) => [r.name, r.version, r.aliases, d.typeUrl, Buffer.from(r.value)]),
      );
    }),
    { numRuns: 300 },
  );
});

test('a resource of any size keeps its length', () => {
  for (const size of [0, 127, 128, 16_383, 16_384, 3_000_000]) {
    const bytes = encodeDelta({
      typeUrl: 't',
      nonce: 'n',
      resources: [encodeResource({ name: 'a', version: 'v', aliases: [], value: Buffer.alloc(size, 1) }, 't')],
      removed: [],
    });
    assert.equal(deltaResponseMessage.decode(bytes).resources[0]?.resource?.value.length, size);
  }
});

test('state responses decode to what was encoded', () => {
  const state = fc.record({
    typeUrl: text,
    nonce: text,
    versionInfo: text,
    controlPlane: text,
    values: fc.array(value, { maxLength: 20 }),
  });
  fc.assert(
    fc.property(state, (s) => {
      const back = discoveryResponseMessage.decode(encodeState(s));
      assert.deepEqual(
        [back.typeUrl, back.nonce, back.versionInfo, back.controlPlane?.identifier],
        [s.typeUrl, s.nonce, s.versionInfo, s.controlPlane],
      );
      assert.deepEqual(
        back.resources.map((r) => [r.type_url, Buffer.from(r.value)]),
        s.values.map((v) => [s.typeUrl, Buffer.from(v)]),
      );
    }),
    { numRuns: 200 },
  );
});

test('a workload is cut out of its address, a service is none', () => {
  for (const name of ['', 'web', 'w'.repeat(300)]) {
    const workload = workloadOf(addressMessage.encode({ workload: { name, uid: 'u' } }))!;
    const around = Buffer.concat([addressMessage.encode({ workload: { name, uid: 'u' } })]);
    assert.deepEqual(around.subarray(around.length - workload.length), Buffer.from(workload));
    assert.equal(addressMessage.decode(around).workload?.name, name);
  }
  assert.equal(workloadOf(addressMessage.encode({ service: { name: 'web' } })), undefined);
  assert.ok(workloadTypeUrl.endsWith('.Workload'));
});
