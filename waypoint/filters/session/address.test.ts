import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeBase64, decodeSession, encodeSession } from './address.ts';

describe('the host in a session', () => {
  test('is read as it was written', () => {
    const address = fc.string({ unit: fc.integer({ min: 32, max: 255 }).map((c) => String.fromCharCode(c)) });
    const session = fc.record({ address, expires: fc.nat({ max: 2 ** 45 }) }, { noNullPrototype: true });
    fc.assert(fc.property(session, (s) => assert.deepEqual(decodeSession(encodeSession(s)), s)));
  });

  test("has Envoy's bytes", () => {
    const bytes = encodeSession({ address: '1.2.3.4:80', expires: 300 });
    assert.equal(bytes.toString('latin1'), '\n\x0a1.2.3.4:80\x10\xac\x02');
  });

  test('is nothing, or something within the bytes, whatever a client writes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const read = decodeSession(Buffer.from(bytes));
        assert.ok(read === undefined || read.address.length <= bytes.length);
      }),
    );
    assert.equal(decodeSession(Buffer.from([0x0a, 5, 65])), undefined);
    assert.equal(decodeSession(Buffer.from([0x0a, ...Array(11).fill(0xff)])), undefined);
  });

  test('is base64 with all of its padding and no other bits', () => {
    assert.deepEqual(decodeBase64('YQ=='), Buffer.from('a'));
    for (const wrong of ['', 'YQ', 'YQ=', 'YR==', 'Y Q==', '%%%%', 'YQ==YQ=='])
      assert.equal(decodeBase64(wrong), undefined, wrong);
  });
});
