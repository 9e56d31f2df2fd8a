/** Floods of HTTP/2 against both of the waypoint's ways in: who floods is cut off, memory stays, and the others are answered. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { longOr } from '../../harness/require.ts';
import { Resident } from '../../harness/resident.ts';
import { defaultMost, type Flood, floods, openers } from './floods.ts';
import { pour } from './pour.ts';
import { World } from './world.ts';

for (const listener of ['plain', 'hbone'] as const) {
  describe(`floods of HTTP/2 at the listener ${listener}`, () => {
    let world: World;
    before(async () => {
      world = await World.start();
    });
    after(() => world[Symbol.asyncDispose]());

    for (const flood of floods) {
      it(`${flood.harmless ? 'stands' : 'is cut off'}: ${flood.name}`, async (t) => {
        const resident = new Resident(world.process.pid);
        const { result: cut, calls } = await world.neighbours(() => attack(world, listener, flood));
        const { grown } = resident;
        t.diagnostic(`${calls} calls of neighbours answered, ${grown.toFixed(1)} MB more`);
        if (!flood.harmless) assert.ok(cut, 'the connection goes on');
        assert.ok(grown < (flood.most ?? defaultMost), `${grown.toFixed(1)} MB more`);
        assert.ok(!world.seen.includes('/bomb'), 'a bomb was forwarded');
      });
    }
  });
}

/** Resolves with whether we ended the connection. */
async function attack(world: World, listener: 'plain' | 'hbone', flood: Flood): Promise<boolean> {
  const peer = await world.http2(listener);
  const open = openers[listener];
  if (flood.begin) peer.send(flood.begin(open));
  if (flood.deaf) peer.socket.pause();
  const parts = flood.parts ?? longOr(20_000, 200_000);
  const cut = await pour(peer.socket, parts, (n) => flood.part(n, open), flood.harmless === true);
  peer.socket.destroy();
  return cut;
}
