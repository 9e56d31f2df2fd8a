import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TextDecoder, TextEncoder } from './text.ts';

function frame(payload: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(payload.length, 1);
  return Buffer.concat([prefix, payload]);
}

function* cut(bytes: Buffer, lengths: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (const length of lengths) {
    yield bytes.subarray(at, at + length);
    at += length;
  }
  if (at < bytes.length) yield bytes.subarray(at);
}

const payloads = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 });
const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 20 });

describe('the text form of gRPC-Web', () => {
  it('is the base64 of each frame by itself, however the frames are cut', () => {
    fc.assert(
      fc.property(payloads, cuts, (all, lengths) => {
        const encoder = new TextEncoder();
        const frames = all.map(frame);
        const out = [...cut(Buffer.concat(frames), lengths)].map((chunk) => encoder.push(chunk).toString('latin1'));
        assert.equal(out.join(''), frames.map((one) => one.toString('base64')).join(''));
      }),
    );
  });

  it('is read back, however it is cut, padding between frames or not', () => {
    fc.assert(
      fc.property(payloads, cuts, fc.boolean(), (all, lengths, padded) => {
        const frames = all.map(frame);
        const bytes = Buffer.concat(frames);
        const text = padded ? frames.map((one) => one.toString('base64')).join('') : bytes.toString('base64');
        const decoder = new TextDecoder();
        const out = [...cut(Buffer.from(text), lengths)].map((chunk) => decoder.push(chunk)!);
        assert.deepEqual(Buffer.concat(out), bytes);
        assert.equal(decoder.isComplete, true);
      }),
    );
  });

  it('is nothing else', () => {
    for (const bad of ['AAA*', 'A===', '====', 'AA=A', 'AAA\n', '-___']) {
      assert.equal(new TextDecoder().push(Buffer.from(bad)), undefined, bad);
    }
    const decoder = new TextDecoder();
    assert.deepEqual(decoder.push(Buffer.from('AAAAA')), Buffer.alloc(3));
    assert.equal(decoder.isComplete, false);
  });
});
