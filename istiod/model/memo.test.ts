import assert from 'node:assert/strict';
import { it } from 'node:test';
import { addressTypeUrl } from '../../common/api/index.ts';
import { Memo } from './memo.ts';
import type { Resource } from './resource.ts';

const resource = (name: string, version = '1'): Resource => ({
  type: addressTypeUrl,
  name,
  aliases: [],
  version,
  bytes: new Uint8Array(),
  node: '',
  services: [],
  inputs: [],
});

it('knows a resource, and none that came in its place', () => {
  const memo = new Memo<string>(() => new Map());
  const [first, second] = [resource('a'), resource('a', '2')];
  assert.equal(memo.get(first), undefined);
  memo.set(first, 'first');
  assert.equal(memo.get(first), 'first');
  assert.equal(memo.get(second), undefined);
  memo.set(second, 'second');
  assert.deepEqual([memo.get(first), memo.get(second), memo.size], [undefined, 'second', 1]);
});

it('forgets what is gone, however many come and go', () => {
  const all = new Map<string, Resource>();
  const memo = new Memo<number>(() => all);
  const stays = Array.from({ length: 10 }, (_, i) => resource(`stays ${i}`));
  for (const [i, r] of stays.entries()) {
    all.set(r.name, r);
    memo.set(r, i);
  }
  let most = 0;
  for (let i = 0; i < 10_000; i++) {
    const r = resource(`comes ${i}`);
    all.set(r.name, r);
    memo.set(r, i);
    all.delete(r.name);
    most = Math.max(most, memo.size);
  }
  assert.ok(most <= 2 * 11 + 256 + 1, `${most} entries`);
  for (const [i, r] of stays.entries()) assert.equal(memo.get(r), i);
});
