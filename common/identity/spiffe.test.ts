import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { formatSpiffe, parseSpiffe, sameIdentity } from './spiffe.ts';

const part = fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}$/);
const identity = fc.record({ trustDomain: part, namespace: part, serviceAccount: part }, { noNullPrototype: true });

it('reads what it writes', () => {
  fc.assert(
    fc.property(identity, (id) => {
      assert.deepEqual(parseSpiffe(formatSpiffe(id)), id);
    }),
  );
});

it('reads nothing but five segments', () => {
  for (const text of [
    '',
    'spiffe://td/ns/a/sa',
    'spiffe://td/ns/a/sa/',
    'spiffe://td/ns/a/sa/b/',
    'spiffe://td/ns/a/sa/b/c',
    'spiffe://td/ns//sa/b',
    'spiffe:///ns/a/sa/b',
    'spiffe://td/sa/a/ns/b',
    'SPIFFE://td/ns/a/sa/b',
    'https://td/ns/a/sa/b',
    ' spiffe://td/ns/a/sa/b',
    'spiffe://td/ns/a/sa/b\n',
    'spiffe://td/ns/a/sa/b\0',
    'spiffe://td/ns/a/sa/..',
    'spiffe://td/ns/./sa/b',
    'spiffe://td/ns/a%2Fb/sa/b',
    'spiffe://td/ns/a/sa/b?x',
    'spiffe://td:1/ns/a/sa/b',
  ]) {
    assert.equal(parseSpiffe(text), undefined, JSON.stringify(text));
  }
});

it('never reads one text as two identities, or two texts as one', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), identity.map(formatSpiffe)), (text) => {
      const id = parseSpiffe(text);
      if (id) assert.equal(formatSpiffe(id), text);
    }),
  );
});

it('compares all parts', () => {
  const id = { trustDomain: 'td', namespace: 'a', serviceAccount: 'b' };
  assert.ok(sameIdentity(id, { ...id }));
  assert.ok(!sameIdentity(id, { ...id, trustDomain: 'TD' }));
  assert.ok(!sameIdentity(id, { ...id, namespace: 'aa' }));
  assert.ok(!sameIdentity(id, { ...id, serviceAccount: 'b.' }));
});
