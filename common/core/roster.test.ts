import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Roster, type Seat } from './roster.ts';

test('who entered and has not left is in it, whatever the order of both', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constant('enter' as const), fc.nat(30))), (steps) => {
      const roster = new Roster<{ readonly id: number }>();
      const inside: { readonly id: number; readonly seat: Seat }[] = [];
      steps.forEach((step, id) => {
        if (step === 'enter') inside.push({ id, seat: roster.enter({ id }) });
        else if (inside.length > 0) roster.leave(inside.splice(step % inside.length, 1)[0]!.seat);
        const expected = inside.map((i) => i.id).toSorted((a, b) => a - b);
        const found = Array.from(roster, (item) => item.id).toSorted((a, b) => a - b);
        assert.deepEqual(found, expected);
        assert.equal(roster.size, expected.length);
      });
    }),
  );
});

test('some leave while it is gone through: they are left out, the others are met', () => {
  const roster = new Roster<{ readonly id: number }>();
  const seats = [0, 1, 2, 3].map((id) => roster.enter({ id }));
  const met: number[] = [];
  for (const { id } of roster) {
    met.push(id);
    if (id === 0) roster.leave(seats[2]!);
  }
  assert.deepEqual(met, [0, 1, 3]);
});

test('a seat that is given up twice is a mistake', () => {
  const roster = new Roster<object>();
  const seat = roster.enter({});
  roster.leave(seat);
  assert.throws(() => roster.leave(seat), /twice/);
});
