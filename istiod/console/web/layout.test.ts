import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { chip, layout } from './layout.ts';

const workloads = fc
  .uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 0, max: 40 })), {
    selector: (t) => t.join('/'),
    maxLength: 60,
  })
  .map((all) => all.map(([namespace, n]) => ({ id: `${namespace}/${n}`, namespace })));
const mesh = workloads.chain((all) =>
  fc.record({
    all: fc.constant(all),
    links: fc.array(fc.record({ from: fc.constantFrom(...idsOf(all)), to: fc.constantFrom(...idsOf(all)) })),
  }),
);

function idsOf(all: readonly { readonly id: string }[]): readonly string[] {
  return all.length === 0 ? ['nobody'] : all.map((w) => w.id);
}

interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}
const apart = (a: Rect, b: Rect) =>
  a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
const within = (a: Rect, b: Rect) =>
  a.x >= b.x && a.y >= b.y && a.x + a.width <= b.x + b.width && a.y + a.height <= b.y + b.height;

test('every workload has its own place in the box of its namespace, and boxes do not overlap', () => {
  fc.assert(
    fc.property(mesh, ({ all, links }) => {
      const { chips, boxes, width, height } = layout(all, links);
      const places = all.map((w) => ({ ...chips.get(w.id)!, ...chip, namespace: w.namespace }));
      for (const [i, a] of places.entries()) {
        assert.ok(within(a, boxes.find((b) => b.name === a.namespace)!));
        for (const b of places.slice(i + 1)) assert.ok(apart(a, b));
      }
      for (const [i, a] of boxes.entries()) {
        assert.ok(within(a, { x: 0, y: 0, width, height }));
        for (const b of boxes.slice(i + 1)) assert.ok(apart(a, b));
      }
    }),
  );
});

test('it depends on the mesh alone, not on the order in which it is told', () => {
  fc.assert(
    fc.property(mesh, ({ all, links }) => {
      assert.deepEqual(layout([...all].reverse(), [...links].reverse()).chips, layout(all, links).chips);
    }),
  );
});

test('callers stand left of whom they call', () => {
  const all = ['web', 'cart', 'db', 'cron'].map((name) => ({ id: name, namespace: 'shop' }));
  const { chips } = layout(all, [
    { from: 'web', to: 'cart' },
    { from: 'cart', to: 'db' },
    { from: 'db', to: 'cart' },
  ]);
  const x = (id: string) => chips.get(id)!.x;
  assert.ok(x('web') < x('cart') && x('cart') < x('db'));
  assert.equal(x('cron'), x('web'));
});
