import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NameRecord } from '../../common/dns/system-lookup.ts';
import { ip } from '../../common/testing/builders.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { nameResolver } from './names.ts';

const v4 = { ip: ip('192.0.2.1'), ttlSeconds: 60 };
const other4 = { ip: ip('192.0.2.2'), ttlSeconds: 30 };
const v6 = { ip: ip('2001:db8::1'), ttlSeconds: 60 };

function rig(answer: (name: string) => Promise<readonly NameRecord[]>, random = () => 0) {
  const clock = new FakeClock();
  const asked: string[] = [];
  const resolve = nameResolver(
    (name) => {
      asked.push(name);
      return answer(name);
    },
    clock,
    random,
  );
  return { clock, asked, resolve };
}

test('a random record of the preferred family, of the other where there is none', async () => {
  let random = 0;
  const { resolve } = rig(
    async (name) => (name === 'dual' ? [v4, v6, other4] : name === 'six' ? [v6] : []),
    () => random,
  );
  assert.equal(await resolve('dual', false), v4.ip);
  assert.equal(await resolve('dual', true), v6.ip);
  random = 0.99;
  assert.equal(await resolve('dual', false), other4.ip);
  assert.equal(await resolve('six', false), v6.ip);
  await assert.rejects(resolve('none', false), { code: 'NO_HEALTHY_UPSTREAM', message: /none has no address/ });
});

test('an answer is kept for its shortest TTL, and questions that come together are one', async () => {
  const { clock, asked, resolve } = rig(async () => [v4, other4]);
  await Promise.all([resolve('a', false), resolve('a', false)]);
  assert.equal(asked.length, 1);
  clock.advance(29_999);
  await resolve('a', false);
  assert.equal(asked.length, 1);
  clock.advance(1);
  await resolve('a', false);
  assert.equal(asked.length, 2);
});

test('a TTL of 0 and a failure are kept for a second', async () => {
  let fail = false;
  const { clock, asked, resolve } = rig(async () => {
    if (fail) throw new Error('server failed');
    return [{ ...v4, ttlSeconds: 0 }];
  });
  await resolve('a', false);
  await resolve('a', false);
  assert.equal(asked.length, 1);
  fail = true;
  clock.advance(1_000);
  for (let i = 0; i < 2; i++) {
    await assert.rejects(resolve('a', false), {
      code: 'NO_HEALTHY_UPSTREAM',
      message: /a cannot be resolved: server failed/,
    });
  }
  assert.equal(asked.length, 2);
  fail = false;
  clock.advance(1_000);
  assert.equal(await resolve('a', false), v4.ip);
});

test('4096 names are kept, the one that was not used for longest goes', async () => {
  const { asked, resolve } = rig(async () => [v4]);
  for (let i = 0; i < 4096; i++) await resolve(`n${i}`, false);
  await resolve('n0', false);
  await resolve('one-more', false);
  assert.equal(asked.length, 4097);
  await resolve('n0', false);
  assert.equal(asked.length, 4097);
  await resolve('n1', false);
  assert.equal(asked.length, 4098);
});
