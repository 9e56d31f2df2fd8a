/**
 * A process of `bench -- l7 --hostile`: floods a port without end, at a pace, and comes again whenever it is cut off. Ends with its parent.
 * Arguments: the flood's name, the port.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { floods, openers } from '../../test/waypoint/hostile/floods.ts';
import { plainHttp2 } from '../../test/waypoint/hostile/world.ts';
import { bytesAtOnce, partsAtOnce, pause } from './hostile-pace.ts';

const [name, port] = process.argv.slice(2);
const flood = floods.find((f) => f.name === name);
if (!flood) throw new Error(`there is no flood ${name}`);
process.once('disconnect', () => process.exit());
const open = openers.plain;
for (let told = false; ; ) {
  const peer = await plainHttp2(Number(port)).catch(() => undefined);
  // Loading this process is no part of the flood.
  if (!told) process.send!('floods');
  told = true;
  if (peer && flood.begin) peer.send(flood.begin(open));
  if (flood.deaf) peer?.socket.pause();
  for (let n = 0; peer && !peer.closed && !peer.socket.destroyed && n < 20_000; ) {
    const parts: Buffer[] = [];
    for (let bytes = 0; parts.length < partsAtOnce && bytes < bytesAtOnce; bytes += parts.at(-1)!.length) {
      parts.push(flood.part(n++, open));
    }
    peer.send(...parts);
    await delay(pause);
  }
  peer?.socket.destroy();
  await delay(pause);
}
