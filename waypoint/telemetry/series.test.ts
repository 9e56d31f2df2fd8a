import assert from 'node:assert/strict';
import { test } from 'node:test';
import { millis } from '../../common/core/brand.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { SeriesStore } from './series.ts';

const hour = 3_600_000;

function page(store: SeriesStore): string {
  return [...store.pages()].join('');
}

test('series go when nothing was added to them for the time, and others stay', () => {
  const clock = new FakeClock();
  const store = new SeriesStore({ clock, idle: millis(hour), limit: 10 });
  const [old, used] = ['old', 'used'].map((name) => store.get('m_total', 'counter', [['a', name]]));
  store.add(old!, 1);
  for (let i = 0; i < 8; i++) {
    store.add(used!, 1);
    clock.advance(millis(hour / 4));
  }
  assert.equal(page(store), '# TYPE m_total counter\nm_total{a="used"} 8\n');
  assert.equal(old!.gone, true);
  assert.equal(store.get('m_total', 'counter', [['a', 'old']]).value, 0);
});

test('label sets beyond the budget are one series', () => {
  const store = new SeriesStore({ clock: new FakeClock(), idle: undefined, limit: 2 });
  for (let i = 0; i < 5; i++) store.add(store.get('m_total', 'counter', [['a', String(i)]]), 1);
  assert.equal(page(store), '# TYPE m_total counter\nm_total{a="0"} 1\nm_total{a="1"} 1\nm_total{a="overflow"} 3\n');
  assert.equal(store.overflowed, 3);
});

test("a histogram has Envoy's buckets, and values of strangers cannot end a label", () => {
  const store = new SeriesStore({ clock: new FakeClock(), idle: undefined, limit: 2 });
  const series = store.get('m', 'histogram', [['a', 'x"} 1\n\\']]);
  for (const value of [0.5, 0.6, 4_000_000]) store.record(series, value);
  const lines = page(store).split('\n');
  assert.equal(lines[1], 'm_bucket{a="x\\"} 1\\n\\\\",le="0.5"} 1');
  assert.equal(lines[2], 'm_bucket{a="x\\"} 1\\n\\\\",le="1"} 2');
  assert.match(lines.at(-4)!, /le="\+Inf"\} 3$/);
  assert.match(lines.at(-2)!, /m_count\{.*\} 3$/);
});

test('a page of many series comes in parts', () => {
  const store = new SeriesStore({ clock: new FakeClock(), idle: undefined, limit: 5_000 });
  for (let i = 0; i < 3_000; i++) store.get('m_total', 'counter', [['a', String(i)]]);
  const parts = [...store.pages()];
  assert.ok(parts.length > 5);
  assert.equal(parts.join('').split('\n').length, 3_002);
});
