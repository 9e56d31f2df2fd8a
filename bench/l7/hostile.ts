/**
 * `npm run bench -- l7 --hostile`: what good clients and the machine feel of a hostile client that floods a waypoint, ours and Envoy, at the
 * pace of hostile-pace.ts: p99 of calls without it and beside it, as a multiple (goal: at most 2), what the waypoint itself worked meanwhile, the CPU time that it took, and
 * memory that it made the waypoint take at most (goal: as in test/waypoint/hostile, 48 MB but for one of them). Waypoint, hostile client, good
 * clients, and what is behind each of those are a process each; nothing but the waypoint is between a good client and its answer that the flood reaches.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { Resident } from '../../test/harness/resident.ts';
import type { Backends } from '../../test/waypoint/hostile/bootstrap.ts';
import { defaultMost, floods } from '../../test/waypoint/hostile/floods.ts';
import { type Engine, startWaypoint } from '../../test/waypoint/hostile/world.ts';
import { usageOf } from '../process-tree.ts';
import { percentile } from '../statistics.ts';
import { printTable, type Row, writeResults } from '../table.ts';
import { paceWords } from './hostile-pace.ts';
import { loopWork } from './loop-work.ts';

const lanes = 4;
/** Ms between the calls of a lane: the machine has time left, so that what is measured is the flood. */
const rest = 5;

/** Goal. */
const times = 2;

/** Both p99, us. */
interface Calls {
  readonly time: number;
  /** What the waypoint's loop did meanwhile (loop-work.ts). */
  readonly work: number;
}

interface Felt {
  readonly quiet: Calls;
  readonly loud: Calls;
  /** Cores that the waypoint used, without it and beside it: what does not hang on who else uses the machine. */
  readonly quietCores: number;
  readonly loudCores: number;
  /** MB that the waypoint's memory had more at its peak. */
  readonly grown: number;
}

export async function benchL7Hostile(seconds: number): Promise<void> {
  const [flooded, behind] = await child<Backends>('hostile-backends.ts');
  const [backends, { neighbours }] = await child<Backends>('hostile-backends.ts');
  const measured: ReadonlyMap<string, Felt>[] = [];
  try {
    for (const engine of ['ours', 'envoy'] as const)
      measured.push(await measure(engine, { ...behind, neighbours }, seconds));
  } finally {
    flooded.disconnect();
    backends.disconnect();
  }
  const [ours, envoy] = measured as [ReadonlyMap<string, Felt>, ReadonlyMap<string, Felt>];
  const of = (name: string, what: (felt: Felt) => number) => [what(ours.get(name)!), what(envoy.get(name)!)];
  const rows: Row[] = floods.flatMap(({ name, most = defaultMost }): Row[] => [
    { name: `${name}: p99 before`, unit: 'ms', digits: 1, values: of(name, (f) => f.quiet.time / 1_000) },
    { name: `${name}: p99 beside it`, unit: 'ms', digits: 1, values: of(name, (f) => f.loud.time / 1_000) },
    {
      name: `${name}: p99`,
      unit: 'times that before',
      digits: 2,
      values: of(name, (f) => f.loud.time / f.quiet.time),
      goal: { atMost: times },
    },
    {
      name: `${name}: p99 of what the waypoint works within a call`,
      unit: 'us more',
      digits: 0,
      values: of(name, (f) => f.loud.work - f.quiet.work),
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
  process.stdout.write(`${paceWords}\n${summary('ours', ours)}${summary('Envoy', envoy)}`);
  await writeResults('l7-hostile', { seconds, rows });
}

function summary(name: string, measured: ReadonlyMap<string, Felt>): string {
  const felt = [...measured.values()];
  const doubled = felt.filter((f) => f.loud.time <= times * f.quiet.time).length;
  const most = (what: (felt: Felt) => number) => Math.max(...felt.map(what));
  return (
    `${name}: p99 at most doubled in ${doubled} of ${felt.length}, at most ${most((f) => f.loud.time / f.quiet.time).toFixed(2)} times; ` +
    `at most ${most((f) => f.loud.work - f.quiet.work).toFixed(0)} us more work of its own within a call; at most ${most((f) => f.grown).toFixed(0)} MB more\n`
  );
}

async function measure(engine: Engine, behind: Backends, seconds: number): Promise<ReadonlyMap<string, Felt>> {
  const waypoint = await startWaypoint(engine, behind);
  const out = new Map<string, Felt>();
  try {
    const port = await waypoint.port('plain');
    await p99(port, seconds, () => 0);
    const work = loopWork(waypoint.pid);
    for (const { name } of floods) {
      const [quiet, quietCores] = await cores(() => p99(port, seconds, work), waypoint.pid);
      const resident = new Resident(waypoint.pid);
      const [peer] = await child('hostile-peer.ts', name, String(port));
      try {
        const [loud, loudCores] = await cores(() => p99(port, seconds, work), waypoint.pid);
        const felt = { quiet, loud, quietCores, loudCores, grown: resident.grown };
        out.set(name, felt);
        process.stderr.write(
          `  ${engine}: ${name}: p99 ${Math.round(quiet.time)} us, then ${Math.round(loud.time)} us; its work within a call ${Math.round(quiet.work)} us, then ${Math.round(loud.work)} us; ${quietCores.toFixed(2)} cores, then ${loudCores.toFixed(2)}; ${felt.grown.toFixed(1)} MB more\n`,
        );
      } finally {
        peer.disconnect();
        await once(peer, 'exit');
      }
    }
  } finally {
    await waypoint.stop();
  }
  return out;
}

/** A process of this folder, and what it tells first. */
async function child<T>(program: string, ...args: readonly string[]): Promise<readonly [ChildProcess, T]> {
  const started = fork(join(import.meta.dirname, program), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [told] = await Promise.race([
    once(started, 'message'),
    once(started, 'exit').then(() => Promise.reject(new Error(`${program} ended before it was ready`))),
  ]);
  return [started, told as T];
}

/** What it came to, and how many cores the process used meanwhile. */
async function cores<T>(what: () => Promise<T>, pid: number): Promise<readonly [T, number]> {
  const [before, started] = [usageOf([pid]).cpuSeconds, performance.now()];
  const result = await what();
  return [result, ((usageOf([pid]).cpuSeconds - before) * 1_000) / (performance.now() - started)];
}

/** Throws when a call is not answered with 200. */
async function p99(port: number, seconds: number, work: () => number): Promise<Calls> {
  const agent = new Agent({ keepAlive: true, maxSockets: lanes });
  const times: number[] = [];
  const works: number[] = [];
  const end = performance.now() + seconds * 1_000;
  const lane = async () => {
    while (performance.now() < end) {
      const [started, before] = [performance.now(), work()];
      await call(agent, port);
      times.push((performance.now() - started) * 1_000);
      works.push(work() - before);
      await new Promise((resolve) => setTimeout(resolve, rest));
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  agent.destroy();
  return { time: percentile(times, 99), work: percentile(works, 99) };
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
