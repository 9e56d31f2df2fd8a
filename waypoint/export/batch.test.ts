import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { millis } from '../../common/core/brand.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { Batch, type BatchOptions } from './batch.ts';

interface Sent {
  readonly items: string;
  readonly done: (arrived: boolean) => void;
}

function made(more: Partial<BatchOptions> = {}) {
  const clock = new FakeClock();
  const sends: Sent[] = [];
  const counters = { sent: { value: 0 }, dropped: { value: 0 } };
  const batch = new Batch({
    clock,
    items: 3,
    bytes: 100,
    interval: millis(1_000),
    mostItems: 6,
    mostBytes: 1_000,
    send: (items, done) => void sends.push({ items: items.toString(), done }),
    ...counters,
    ...more,
  });
  const add = (...texts: string[]) => {
    for (const text of texts) batch.add(Buffer.from(text));
  };
  return { clock, sends, counters, batch, add };
}

describe('a batch', () => {
  it('goes when it is full, by items or by bytes, or when its time is over', () => {
    const { clock, sends, add } = made();
    add('a', 'b');
    assert.equal(sends.length, 0);
    add('c');
    add('x'.repeat(100));
    add('d');
    clock.advance(999);
    assert.deepEqual(
      sends.map(({ items }) => items),
      ['abc', 'x'.repeat(100)],
    );
    clock.advance(1);
    assert.equal(sends[2]!.items, 'd');
  });

  it('waits for its time though others come back that went for being full', () => {
    const { clock, sends, add } = made();
    add('a', 'b', 'c', 'd');
    sends[0]!.done(true);
    add('e');
    assert.equal(sends.length, 1);
    clock.advance(1_000);
    assert.equal(sends[1]!.items, 'de');
  });

  it('whose time is over goes as soon as one of those under way is back', () => {
    const { clock, sends, add } = made({ items: 2, mostItems: 20 });
    add('1', '2', '3', '4', '5', '6', '7', '8', '9');
    clock.advance(1_000);
    add('0');
    assert.equal(sends.length, 4);
    sends[0]!.done(true);
    sends[1]!.done(true);
    assert.deepEqual(
      sends.slice(4).map(({ items }) => items),
      ['90'],
    );
    add('a');
    clock.advance(1_000);
    sends[2]!.done(true);
    assert.equal(sends[5]!.items, 'a');
  });

  it('keeps each byte, however large it grows', () => {
    const { sends, clock, add } = made({ items: 100, bytes: 1_000_000, mostItems: 100, mostBytes: 1_000_000 });
    const texts = Array.from({ length: 40 }, (_, i) => String(i).repeat(1_000 + i));
    add(...texts);
    clock.advance(1_000);
    assert.equal(sends[0]!.items, texts.join(''));
  });

  it('takes no more than its bound, and counts what it drops', () => {
    const { sends, counters, add } = made();
    add('1', '2', '3', '4', '5', '6', '7', '8');
    assert.deepEqual(counters, { sent: { value: 0 }, dropped: { value: 2 } });
    sends[0]!.done(true);
    add('9');
    sends[1]!.done(false);
    assert.deepEqual(counters, { sent: { value: 3 }, dropped: { value: 5 } });
  });

  it('counts bytes, too', () => {
    const { counters, add } = made({ mostBytes: 5 });
    add('1234', '56', '7');
    assert.equal(counters.dropped.value, 1);
  });

  it('sends what came meanwhile when one of those under way is back, and tells when all are', async () => {
    const { sends, batch, add } = made({ items: 1 });
    add('1', '2', '3', '4', '5', '6');
    assert.equal(sends.length, 4);
    const flushed = batch.flush();
    sends[0]!.done(true);
    assert.equal(sends[4]!.items, '5');
    for (let i = 1; i < 6; i++) sends[i]!.done(true);
    assert.equal(sends[5]!.items, '6');
    await flushed;
    await batch.flush();
  });

  it('loses neither the count nor a byte of any, whatever comes and goes', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), text: fc.string({ minLength: 1, maxLength: 60 }) }),
      fc.record({ kind: fc.constant('back' as const), arrived: fc.boolean() }),
      fc.record({ kind: fc.constant('time' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { clock, sends, counters, add } = made({ mostBytes: 200 });
        let [added, back, taken] = [0, 0, ''];
        for (const s of steps) {
          if (s.kind === 'time') clock.advance(1_000);
          else if (s.kind === 'add') {
            const { value: dropped } = counters.dropped;
            add(s.text);
            added++;
            if (counters.dropped.value === dropped) taken += s.text;
          } else if (back < sends.length) sends[back++]!.done(s.arrived);
        }
        clock.advance(1_000);
        while (back < sends.length) sends[back++]!.done(true);
        clock.advance(1_000);
        while (back < sends.length) sends[back++]!.done(true);
        assert.equal(counters.sent.value + counters.dropped.value, added);
        assert.equal(sends.map(({ items }) => items).join(''), taken);
      }),
    );
  });
});
