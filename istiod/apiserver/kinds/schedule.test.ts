import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { nextTime, parseSchedule } from './schedule.ts';

const next = (text: string, after: string, zone = 'UTC') => {
  const time = nextTime(parseSchedule(text)!, Date.parse(after), zone);
  return time === undefined ? undefined : new Date(time).toISOString().slice(0, 19);
};

describe('schedules', () => {
  test('next times', () => {
    const cases: readonly (readonly [string, string, string])[] = [
      ['* * * * *', '2026-01-01T00:00:00Z', '2026-01-01T00:01:00'],
      ['* * * * *', '2026-01-01T00:00:59.5Z', '2026-01-01T00:01:00'],
      ['*/15 * * * *', '2026-01-01T00:46:00Z', '2026-01-01T01:00:00'],
      ['5/20 3 * * *', '2026-01-01T03:06:00Z', '2026-01-01T03:25:00'],
      ['0 0 1 1 *', '2026-01-01T00:00:00Z', '2027-01-01T00:00:00'],
      ['30 12 * * mon-fri', '2026-01-02T12:30:00Z', '2026-01-05T12:30:00'],
      ['0 0 29 2 *', '2026-01-01T00:00:00Z', '2028-02-29T00:00:00'],
      // Either day is enough where both are named.
      ['0 0 13 * fri', '2026-01-01T00:00:00Z', '2026-01-02T00:00:00'],
      ['0 0 13 * fri', '2026-01-09T00:00:00Z', '2026-01-13T00:00:00'],
      ['@hourly', '2026-01-01T05:00:00Z', '2026-01-01T06:00:00'],
      ['@every 1h30m', '2026-01-01T05:00:00.7Z', '2026-01-01T06:30:00'],
    ];
    for (const [text, after, wanted] of cases) assert.equal(next(text, after), wanted, text);
    assert.equal(next('0 0 31 2 *', '2026-01-01T00:00:00Z'), undefined);
  });

  test('time zones, and days that have another length', () => {
    assert.equal(next('0 9 * * *', '2026-01-01T00:00:00Z', 'Asia/Tokyo'), '2026-01-02T00:00:00');
    // 02:30 is left out on the day on which clocks go forward, and midnight of the day after is not.
    assert.equal(next('30 2 * * *', '2026-03-28T12:00:00Z', 'Europe/Berlin'), '2026-03-30T00:30:00');
    assert.equal(next('0 0 30 3 *', '2026-03-28T12:00:00Z', 'Europe/Berlin'), '2026-03-29T22:00:00');
    assert.equal(next('0 0 26 10 *', '2026-10-24T12:00:00Z', 'Europe/Berlin'), '2026-10-25T23:00:00');
  });

  test('the next time is the first that fits', () => {
    const fields = fc.tuple(
      fc.constantFrom('*', '7', '*/9', '50-59'),
      fc.constantFrom('*', '0', '23', '8-10'),
      fc.constantFrom('*', '1', '31'),
      fc.constantFrom('*', '2', '12'),
      fc.constantFrom('*', '0', '3'),
    );
    const start = fc.integer({ min: 0, max: 4_000_000 }).map((m) => Date.UTC(2026, 0, 1) + m * 60_000);
    fc.assert(
      fc.property(fields, start, fc.nat(5000), (parts, after, before) => {
        const schedule = parseSchedule(parts.join(' '))!;
        const first = nextTime(schedule, after, 'UTC');
        if (first === undefined) return;
        assert.ok(first > after);
        // From any time before it, it comes next.
        const from = Math.max(after, first - before * 60_000);
        assert.equal(nextTime(schedule, from === first ? first - 1 : from, 'UTC'), first);
      }),
      { numRuns: 50 },
    );
  });

  test('what is none', () => {
    for (const text of ['', '* * * *', '60 * * * *', '* * 0 * *', '*/0 * * * *', '5-1 * * * *', '@never', '* * * * 7'])
      assert.equal(parseSchedule(text), undefined, text);
  });
});
