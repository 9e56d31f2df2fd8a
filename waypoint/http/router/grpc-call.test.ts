import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { frameOf, MessageReader } from './grpc-call.ts';

describe('messages of a gRPC stream', () => {
  it('come out as they went in, however they are cut', () => {
    const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 30 })), (messages, cuts) => {
        const wire = Buffer.concat(messages.map(frameOf));
        const reader = new MessageReader(40);
        const read: Buffer[] = [];
        for (let at = 0, i = 0; at < wire.length; i++) {
          const end = at + (cuts[i] ?? wire.length);
          const { messages: got, fault } = reader.push(wire.subarray(at, end));
          assert.equal(fault, undefined);
          read.push(...got);
          at = end;
        }
        assert.deepEqual(read, messages);
      }),
    );
  });

  it('are refused where they are too long or compressed, before they are there', () => {
    const long = Buffer.from([0, 0, 0, 0, 41]);
    assert.match(new MessageReader(40).push(long).fault ?? '', /longer than 40/);
    assert.match(new MessageReader(40).push(Buffer.from([1, 0, 0, 0, 1])).fault ?? '', /compressed/);
  });
});
