/** A thread of `bench -- l7 --hostile`: floods without end, at a pace, and comes again whenever it is cut off. */
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { floods, openers } from '../../test/waypoint/hostile/floods.ts';
import { plainHttp2 } from '../../test/waypoint/hostile/world.ts';

export interface HostilePeer {
  readonly flood: string;
  readonly port: number;
}

/** Parts, and ms between them: 2,000 a second. */
const together = 100;
const pause = 50;

const { flood: name, port } = workerData as HostilePeer;
const flood = floods.find((f) => f.name === name);
if (!flood) throw new Error(`there is no flood ${name}`);
const open = openers.plain;
for (;;) {
  const peer = await plainHttp2(port).catch(() => undefined);
  // Loading this thread is no part of the flood.
  parentPort?.postMessage('floods');
  if (peer && flood.begin) peer.send(flood.begin(open));
  if (flood.deaf) peer?.socket.pause();
  for (let n = 0; peer && !peer.closed && !peer.socket.destroyed && n < 20_000; n += together) {
    peer.send(...Array.from({ length: together }, (_, i) => flood.part(n + i, open)));
    await delay(pause);
  }
  peer?.socket.destroy();
  await delay(pause);
}
