/**
 * `npm run bench -- l7 --hostile`: p99 of good clients' calls through a waypoint, ours and Envoy, while a hostile client floods it with 2,000
 * frames or requests a second, as a multiple of the p99 without. The goal: at most 2.
 */
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { floods } from '../../test/waypoint/hostile/floods.ts';
import { type Engine, World } from '../../test/waypoint/hostile/world.ts';
import { percentile } from '../statistics.ts';
import { printTable, type Row, writeResults } from '../table.ts';
import type { HostilePeer } from './hostile-peer.ts';

const lanes = 4;
/** Ms between the calls of a lane: the machine has time left, so that what is measured is the flood. */
const rest = 5;

export async function benchL7Hostile(seconds: number): Promise<void> {
  const ours = await measure('ours', seconds);
  const envoy = await measure('envoy', seconds);
  const rows: Row[] = floods.map(({ name }) => ({
    name: `p99 under ${name}`,
    unit: 'times that without',
    digits: 2,
    values: [ours.get(name), envoy.get(name)],
    goal: { atMost: 2 },
  }));
  printTable(['ours', 'Envoy'], rows);
  await writeResults('l7-hostile', { seconds, rows });
}

async function measure(engine: Engine, seconds: number): Promise<ReadonlyMap<string, number>> {
  await using world = await World.start(engine);
  const port = await world.port('plain');
  await p99(port, 1);
  const out = new Map<string, number>();
  for (const { name } of floods) {
    const quiet = await p99(port, seconds);
    const workerData: HostilePeer = { flood: name, port };
    const worker = new Worker(join(import.meta.dirname, 'hostile-peer.ts'), { workerData });
    try {
      await once(worker, 'message');
      const loud = await p99(port, seconds);
      out.set(name, loud / quiet);
      process.stderr.write(`  ${engine}: ${name}: p99 ${Math.round(quiet)} us, then ${Math.round(loud)} us\n`);
    } finally {
      await worker.terminate();
    }
  }
  return out;
}

/** In us. Throws when a call is not answered with 200. */
async function p99(port: number, seconds: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: lanes });
  const times: number[] = [];
  const end = performance.now() + seconds * 1_000;
  const lane = async () => {
    while (performance.now() < end) {
      const started = performance.now();
      await call(agent, port);
      times.push((performance.now() - started) * 1_000);
      await new Promise((resolve) => setTimeout(resolve, rest));
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  agent.destroy();
  return percentile(times, 99);
}

function call(agent: Agent, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path: '/neighbour', agent }, (answer) => {
      answer.resume();
      answer.on('error', reject);
      answer.on('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(`${answer.statusCode}`))));
    });
    asked.on('error', reject);
    asked.end();
  });
}
