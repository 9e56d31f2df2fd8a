import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { it } from 'node:test';
import { createFakeCa } from '../testing/fake-ca.ts';
import { readLeaf } from './leaf.ts';
import { verifyClient, verifyServer } from './verify.ts';

const ours = { trustDomain: 'cluster.local', namespace: 'a', serviceAccount: 'b' };
const foreign = { ...ours, trustDomain: 'other.example' };

async function namesIn(uris: readonly string[], dns: readonly string[] = []) {
  const ca = await createFakeCa();
  const { chain } = await ca.issue(ours, { uris, dns });
  return readLeaf(new X509Certificate(chain[0]!).raw).identities;
}

it('takes the SPIFFE URIs in order and ignores every other name', async () => {
  assert.deepEqual(
    await namesIn(
      ['http://x', 'spiffe://other.example/ns/a/sa/b', 'spiffe://cluster.local/ns/a/sa/b', 'spiffe://short/ns/a'],
      ['spiffe'],
    ),
    [foreign, ours],
  );
  assert.deepEqual(await namesIn([]), []);
});

it('is not fooled by separators, quotes or a NUL inside a name', async () => {
  assert.deepEqual(
    await namesIn([
      'http://x, URI:spiffe://cluster.local/ns/a/sa/b',
      'http://x", URI:"spiffe://cluster.local/ns/a/sa/b',
      'spiffe://cluster.local/ns/a/sa/b\0.example',
      'spiffe://cluster.local/ns/a/sa/b,URI:x',
    ]),
    [],
  );
});

it('wants one id of its own trust domain from a client', () => {
  assert.deepEqual(verifyClient([ours], 'cluster.local'), { kind: 'accepted', peer: ours });
  assert.deepEqual(verifyClient([foreign, ours], 'cluster.local'), { kind: 'accepted', peer: foreign });
  assert.equal(verifyClient([foreign], 'cluster.local').kind, 'refused');
  assert.equal(verifyClient([{ ...ours, trustDomain: 'cluster.local.evil' }], 'cluster.local').kind, 'refused');
  assert.equal(verifyClient([], 'cluster.local').kind, 'refused');
});

it('wants an expected id from a server, and expects nothing from an empty set', () => {
  assert.deepEqual(verifyServer([foreign, ours], [ours]), { kind: 'accepted', peer: ours });
  assert.equal(verifyServer([ours], []).kind, 'refused');
  assert.equal(verifyServer([], [ours]).kind, 'refused');
  assert.equal(verifyServer([ours], [foreign, { ...ours, serviceAccount: 'bb' }]).kind, 'refused');
});
