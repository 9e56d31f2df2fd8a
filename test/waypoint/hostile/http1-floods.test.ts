/** Floods of HTTP/1.1: each gets its answer, memory stays, the others are answered, and no body is taken for a request. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { longOr } from '../../harness/require.ts';
import { Resident } from '../../harness/resident.ts';
import { defaultMost } from './floods.ts';
import { type Flood1, floods1 } from './http1-floods.ts';
import { pour } from './pour.ts';
import { closed, World } from './world.ts';

describe('floods of HTTP/1.1', () => {
  let world: World;
  before(async () => {
    world = await World.start();
  });
  after(() => world[Symbol.asyncDispose]());

  for (const flood of floods1) {
    it(flood.name, async (t) => {
      const resident = new Resident(world.process.pid);
      const { result, calls } = await world.neighbours(() => attack(world, flood));
      const { grown } = resident;
      t.diagnostic(`${calls} calls of neighbours answered, ${grown.toFixed(1)} MB more`);
      if (flood.answer) assert.match(result, flood.answer);
      else assert.equal(result, '');
      assert.ok(grown < defaultMost, `${grown.toFixed(1)} MB more`);
      assert.ok(!world.seen.includes('/bomb'), 'a body was taken for a request');
    });
  }
});

/** Resolves with how what came begins, once all is taken. */
async function attack(world: World, { begin = '', part }: Flood1): Promise<string> {
  const socket = await world.socket('plain');
  let text = '';
  socket.on('data', (chunk) => {
    if (text.length < 100) text += chunk.toString('latin1', 0, 100);
  });
  const bytes = Buffer.from(part, 'latin1');
  const first = Buffer.concat([Buffer.from(begin, 'latin1'), bytes]);
  await pour(socket, longOr(8, 64), (n) => (n === 0 ? first : bytes), true);
  // The end comes behind what is still on its way.
  socket.end();
  await closed(socket);
  return text;
}
