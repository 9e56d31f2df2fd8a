import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseDuration } from './duration.ts';

test('durations', () => {
  for (const [text, ms] of [
    ['0s', 0],
    ['10ms', 10],
    ['30s', 30_000],
    ['90m', 5_400_000],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['2d', 172_800_000],
    ['0.1ms', 0],
  ] as const) {
    assert.equal(parseDuration(text), ms, text);
  }
  for (const text of ['', '5', 's', '-5s', '5 s', '5sx', '1.h', '.5h', '1..5h', '1h ', '1e3s', '10000000000s']) {
    assert.equal(parseDuration(text), undefined, text);
  }
});

test('any text is a whole number of milliseconds or none', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9.msh]*$/), (text) => {
      const parsed = parseDuration(text);
      assert.ok(parsed === undefined || (Number.isSafeInteger(parsed) && parsed >= 0));
    }),
  );
});
