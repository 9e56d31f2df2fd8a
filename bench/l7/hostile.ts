/**
 * `npm run bench -- l7 --hostile`: what good clients and the machine feel of a hostile client that floods a waypoint, ours and Envoy, with
 * 2,000 frames or requests a second: p99 of calls without it and beside it, as a multiple (goal: at most 2), the CPU time that the waypoint
 * took, and memory that it made the waypoint take at most (goal: as in test/waypoint/hostile, 48 MB but for one of them).
 */
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Resident } from '../../test/harness/resident.ts';
import { defaultMost, floods } from '../../test/waypoint/hostile/floods.ts';
import { type Engine, World } from '../../test/waypoint/hostile/world.ts';
import { usageOf } from '../process-tree.ts';
import { percentile } from '../statistics.ts';
import { printTable, type Row, writeResults } from '../table.ts';
import type { HostilePeer } from './hostile-peer.ts';

const lanes = 4;
/** Ms between the calls of a lane: the machine has time left, so that what is measured is the flood. */
const rest = 5;

/** Goal. */
const times = 2;

interface Felt {
  /** p99, us. */
  readonly quiet: number;
  readonly loud: number;
  /** Cores that the waypoint used, without it and beside it: what does not hang on who else uses the machine. */
  readonly quietCores: number;
  readonly loudCores: number;
  /** MB that the waypoint's memory had more at its peak. */
  readonly grown: number;
}

export async function benchL7Hostile(seconds: number): Promise<void> {
  const ours = await measure('ours', seconds);
  const envoy = await measure('envoy', seconds);
  const of = (name: string, what: (felt: Felt) => number) => [what(ours.get(name)!), what(envoy.get(name)!)];
  const rows: Row[] = floods.flatMap(({ name, most = defaultMost }): Row[] => [
    { name: `${name}: p99 before`, unit: 'ms', digits: 1, values: of(name, (f) => f.quiet / 1_000) },
    { name: `${name}: p99 beside it`, unit: 'ms', digits: 1, values: of(name, (f) => f.loud / 1_000) },
    {
      name: `${name}: p99`,
      unit: 'times that before',
      digits: 2,
      values: of(name, (f) => f.loud / f.quiet),
      goal: { atMost: times },
    },
    { name: `${name}: CPU before`, unit: 'cores', digits: 2, values: of(name, (f) => f.quietCores) },
    { name: `${name}: CPU beside it`, unit: 'cores', digits: 2, values: of(name, (f) => f.loudCores) },
    {
      name: `${name}: memory`,
      unit: 'MB more',
      digits: 1,
      values: of(name, (f) => f.grown),
      goal: { atMost: most },
    },
  ]);
  printTable(['ours', 'Envoy'], rows);
  const felt = [...ours.values()];
  process.stdout.write(
    `ours: p99 at most doubled in ${felt.filter((f) => f.loud <= times * f.quiet).length} of ${felt.length}, ` +
      `at most ${Math.max(...felt.map((f) => f.loud / f.quiet)).toFixed(2)} times; at most ${Math.max(...felt.map((f) => f.grown)).toFixed(0)} MB more\n`,
  );
  await writeResults('l7-hostile', { seconds, rows });
}

async function measure(engine: Engine, seconds: number): Promise<ReadonlyMap<string, Felt>> {
  await using world = await World.start(engine);
  const port = await world.port('plain');
  await p99(port, seconds);
  const out = new Map<string, Felt>();
  for (const { name } of floods) {
    const [quiet, quietCores] = await cores(() => p99(port, seconds), world.process.pid);
    const resident = new Resident(world.process.pid);
    const workerData: HostilePeer = { flood: name, port };
    const worker = new Worker(join(import.meta.dirname, 'hostile-peer.ts'), { workerData });
    try {
      await once(worker, 'message');
      const [loud, loudCores] = await cores(() => p99(port, seconds), world.process.pid);
      const felt = { quiet, loud, quietCores, loudCores, grown: resident.grown };
      out.set(name, felt);
      process.stderr.write(
        `  ${engine}: ${name}: p99 ${Math.round(quiet)} us, then ${Math.round(loud)} us; ${quietCores.toFixed(2)} cores, then ${loudCores.toFixed(2)}; ${felt.grown.toFixed(1)} MB more\n`,
      );
    } finally {
      await worker.terminate();
    }
  }
  return out;
}

/** What it came to, and how many cores the process used meanwhile. */
async function cores<T>(what: () => Promise<T>, pid: number): Promise<readonly [T, number]> {
  const [before, started] = [usageOf([pid]).cpuSeconds, performance.now()];
  const result = await what();
  return [result, ((usageOf([pid]).cpuSeconds - before) * 1_000) / (performance.now() - started)];
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
