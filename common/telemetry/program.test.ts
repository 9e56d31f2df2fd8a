import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { counterOf, gaugeOf } from './program.ts';

test('gauges and counters show the value at the time of each scrape', async () => {
  const registry = new Registry();
  let value = 3;
  gaugeOf(registry, 'open', 'Open now', () => value);
  counterOf(registry, 'done_total', 'Done so far', () => value * 2);
  const scrape = async () => (await registry.metrics()).split('\n').filter((line) => /^[a-z]/.test(line));
  assert.deepEqual(await scrape(), ['open 3', 'done_total 6']);
  assert.deepEqual(await scrape(), ['open 3', 'done_total 6'], 'a second scrape adds nothing');
  value = 5;
  assert.deepEqual(await scrape(), ['open 5', 'done_total 10']);
});
