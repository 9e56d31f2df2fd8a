import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { MeshError } from '../core/errors.ts';
import { Extension } from '../identity/x509.ts';
import { identity } from '../testing/builders.ts';
import { createFakeCa } from '../testing/fake-ca.ts';
import { parseRevocationLists, serialOf, subjectOf } from './crl.ts';

const ca = await createFakeCa();
const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((name) => ca.issue(identity('default', name))));
const leaf = (of: typeof a) => new X509Certificate(of!.chain[0]!);
const root = new X509Certificate(ca.root);

test('a file of several lists, with remarks between them', async () => {
  const first = await ca.revoke([a!.chain[0]!, b!.chain[0]!]);
  const second = await ca.revoke([]);
  const lists = parseRevocationLists(`# of the root\n${first}\r\n\nremark\n${second.replaceAll('\n', '\r\n')}`);
  assert.equal(lists.length, 2);
  assert.deepEqual([...lists[0]!.revoked].sort(), [serialOf(leaf(a)), serialOf(leaf(b))].sort());
  assert.equal(lists[1]!.revoked.size, 0);
  for (const list of lists) {
    assert.ok(list.issuer.equals(subjectOf(root)));
    assert.ok(list.signedBy(root.publicKey));
    assert.ok(!list.signedBy(leaf(c).publicKey));
    assert.ok(Math.abs(list.nextUpdate! - Date.now() - 86_400_000) < 60_000);
  }
});

test('what is no list, or none of ours, is refused with its number and the reason', async () => {
  const good = await ca.revoke([a!.chain[0]!]);
  const indirect = await ca.revoke([], { extensions: [new Extension('2.5.29.28', true, new Uint8Array([0x30, 0]))] });
  const rows: readonly [string, RegExp][] = [
    ['', /no PEM block/],
    [ca.root, /no PEM block/],
    [good.replace(/-----END.*/, ''), /list 1 .*does not end/],
    [good.replace(/\nM/, '\n*'), /list 1 .*base64/],
    [good.replace(/\n[^\n]+\n-----END/, '\n-----END'), /list 1 .*malformed/],
    [`${good}\n${indirect}`, /list 2 .*critical extension 551d1c/],
  ];
  for (const [text, reason] of rows) {
    assert.throws(
      () => parseRevocationLists(text),
      (e: unknown) => e instanceof MeshError && e.code === 'CONFIG' && reason.test(e.message),
      String(reason),
    );
  }
});

test('no damage of a list passes for another list that the issuer has signed, nor for anything but an error', async () => {
  const good = await ca.revoke([a!.chain[0]!, b!.chain[0]!]);
  const der = Buffer.from(good.replace(/-----.*-----|\s/g, ''), 'base64');
  const [original] = parseRevocationLists(good);
  fc.assert(
    fc.property(fc.nat({ max: der.length - 1 }), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, flip, cut) => {
      const bytes = Buffer.from(der.subarray(0, cut ? at + 1 : der.length));
      bytes[at]! ^= flip;
      const text = `-----BEGIN X509 CRL-----\n${bytes.toString('base64')}\n-----END X509 CRL-----\n`;
      try {
        for (const list of parseRevocationLists(text)) {
          // Bytes outside of what is signed, such as a repeated algorithm, may differ without a change of meaning.
          if (list.signedBy(root.publicKey)) assert.deepEqual(list.revoked, original!.revoked);
        }
      } catch (e) {
        assert.ok(e instanceof MeshError && e.code === 'CONFIG', String(e));
      }
    }),
    { numRuns: 2_000 },
  );
});
