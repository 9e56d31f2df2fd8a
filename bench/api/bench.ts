/** `npm run bench -- api`: the API server under load, alone in its process, with the client in this one. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type ClientHttp2Session, connect } from 'node:http2';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Kubeconfig, readKubeconfig } from '../../istiod/apiserver/testing/client.ts';
import { benchPod } from '../pod.ts';
import { usageOf } from '../process-tree.ts';
import { median, percentile } from '../statistics.ts';
import { printTable, type Row } from '../table.ts';
import { Watcher } from './watcher.ts';

export interface ApiBenchOptions {
  /** Number of pods. */
  readonly pods: number;
  /** Kubeconfig of another server, with a token; the same load is put on it. */
  readonly peer: string | undefined;
}

const writers = 32;
const watchers = 100;
/** So many that those during which code is still compiled are not the slowest of a hundred. */
const changes = 1000;
const listings = 5;
const root = join(import.meta.dirname, '../..');

/** Ms of CPU that our server takes: a busy machine changes them less than anything else. */
interface CpuFigures {
  readonly create: number;
  readonly list: number;
  /** Of a change, for all watchers together. */
  readonly change: number;
}

interface Load {
  readonly createsPerSecond: number;
  readonly getP50: number;
  readonly listMs: number;
  readonly watchP50: number;
  readonly watchP99: number;
  readonly cpu: CpuFigures | undefined;
}

interface Figures extends Load {
  readonly rssMb?: number;
  readonly startMs?: number;
  readonly restartMs?: number;
}

export async function benchApi({ pods, peer }: ApiBenchOptions): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'aquifer-bench-api-'));
  const busy = loadavg()[0]!;
  try {
    const first = await startApi(dir);
    const ours = await load(first.kubeconfig, pods, first.pid);
    const { rssMb } = usageOf([first.pid]);
    await first.stop();
    const second = await startApi(dir);
    await second.stop();
    const all: Figures[] = [{ ...ours, rssMb, startMs: first.ms, restartMs: second.ms }];
    if (peer !== undefined) all.push(await load(await readKubeconfig(peer), pods));
    print(all, pods);
    const [before, after] = [busy, loadavg()[0]!].map((n) => n.toFixed(1));
    process.stdout.write(`\nLoad of the machine (${cpus().length} cores): ${before} before, ${after} at the end.\n`);
  } finally {
    await rm(dir, { recursive: true });
  }
}

function print(all: readonly Figures[], pods: number): void {
  const row = (name: string, unit: string, digits: number, value: (f: Figures) => number | undefined): Row => ({
    name,
    unit,
    digits,
    values: all.map(value),
  });
  printTable(['ours', 'peer'].slice(0, all.length), [
    row(`${pods} pods made by ${writers} writers (goal: at least 1000)`, '1/s', 0, (f) => f.createsPerSecond),
    row('CPU of the server a pod made', 'ms', 2, (f) => f.cpu?.create),
    row('get, p50 (goal: at most 1)', 'ms', 2, (f) => f.getP50),
    row(`list of ${pods} (goal: at most 150 of 10000)`, 'ms', 0, (f) => f.listMs),
    row('CPU of the server a list', 'ms', 0, (f) => f.cpu?.list),
    row(`change seen by ${watchers} watchers, p50`, 'ms', 1, (f) => f.watchP50),
    row(`change seen by ${watchers} watchers, p99 (goal: at most 10)`, 'ms', 1, (f) => f.watchP99),
    row(`CPU of the server a change with ${watchers} watchers`, 'ms', 1, (f) => f.cpu?.change),
    row('resident memory after it (goal: at most 250)', 'MB', 0, (f) => f.rssMb),
    row('start to ready (goal: at most 1000)', 'ms', 0, (f) => f.startMs),
    row(`start with ${pods} pods (goal: at most 2000)`, 'ms', 0, (f) => f.restartMs),
  ]);
}

export async function startApi(
  dir: string,
): Promise<{ readonly kubeconfig: Kubeconfig; readonly pid: number; readonly ms: number; stop(): Promise<void> }> {
  const began = performance.now();
  const args = ['apiserver', '--data-dir', dir, '--listen', '127.0.0.1:0'];
  const child = spawn(join(root, 'bin/istiod'), args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  let text = '';
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (/\tserving /.test(text)) break;
  }
  if (child.pid === undefined || child.exitCode !== null) throw new Error('istiod apiserver did not start');
  child.stdout.resume();
  return {
    kubeconfig: await readKubeconfig(join(dir, 'kubeconfig')),
    pid: child.pid,
    ms: performance.now() - began,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function load(config: Kubeconfig, pods: number, pid?: number): Promise<Load> {
  const cpu = () => (pid === undefined ? 0 : usageOf([pid]).cpuSeconds);
  const namespace = `bench-${Date.now()}`;
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const sessions = Array.from({ length: writers }, () => open(config));
  const [one] = sessions as [ClientHttp2Session];
  try {
    await ask(one, config, 'POST', '/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace },
    });
    let next = 0;
    const [began, cpuBefore] = [performance.now(), cpu()];
    await Promise.all(
      sessions.map(async (session) => {
        while (next < pods) await ask(session, config, 'POST', path, pod(`pod-${next++}`));
      }),
    );
    const createsPerSecond = (pods / (performance.now() - began)) * 1000;
    const create = ((cpu() - cpuBefore) / pods) * 1000;
    const gets: number[] = [];
    for (let i = 0; i < 500; i++)
      gets.push(await timed(() => ask(one, config, 'GET', `${path}/pod-${(i * 7) % pods}`)));
    const lists: number[] = [];
    const cpuOfLists = cpu();
    for (let i = 0; i < listings; i++) lists.push(await timed(() => read(one, config, path)));
    const list = ((cpu() - cpuOfLists) / listings) * 1000;
    const { delays, cpuMs: change } = await watchDelays(one, config, path, pods, cpu);
    return {
      createsPerSecond,
      getP50: median(gets),
      listMs: median(lists),
      watchP50: percentile(delays, 50),
      watchP99: percentile(delays, 99),
      cpu: pid === undefined ? undefined : { create, list, change },
    };
  } finally {
    // What is left of ours goes with its folder.
    if (pid === undefined) await ask(one, config, 'DELETE', `/api/v1/namespaces/${namespace}`);
    for (const session of sessions) session.destroy();
  }
}

/** With the windows of Go's client, which kubectl and controllers have: a list does not wait for each 64 kB to be acknowledged. */
function open({ server, ca }: Kubeconfig): ClientHttp2Session {
  const session = connect(server, { ca, settings: { initialWindowSize: 4 * 1024 * 1024, enablePush: false } });
  session.once('connect', () => session.setLocalWindowSize(1024 * 1024 * 1024));
  return session;
}

/** Ms from sending a patch to each watcher's receipt of the event. */
async function watchDelays(
  session: ClientHttp2Session,
  config: Kubeconfig,
  path: string,
  pods: number,
  cpu: () => number,
): Promise<{ readonly delays: readonly number[]; readonly cpuMs: number }> {
  const { resourceVersion } = (
    JSON.parse(await ask(session, config, 'GET', `${path}?limit=1`)) as { metadata: { resourceVersion: string } }
  ).metadata;
  const delays: number[] = [];
  let sent = 0;
  let missing = 0;
  let all: (() => void) | undefined;
  const watch = `${path}?watch=1&resourceVersion=${resourceVersion}`;
  const received = (): void => {
    delays.push(performance.now() - sent);
    if (--missing === 0) all?.();
  };
  // As clients do, each on a connection of its own.
  const opened: Watcher[] = [];
  for (let i = 0; i < watchers; i++) opened.push(await Watcher.open(config, watch, received));
  const cpuBefore = cpu();
  for (let i = 0; i < changes; i++) {
    missing = watchers;
    const seen = new Promise<void>((resolve) => {
      all = resolve;
    });
    sent = performance.now();
    const patch = { metadata: { labels: { change: String(i) } } };
    await ask(session, config, 'PATCH', `${path}/pod-${i % pods}`, patch, 'application/merge-patch+json');
    await seen;
  }
  const cpuMs = ((cpu() - cpuBefore) / changes) * 1000;
  for (const each of opened) each.close();
  return { delays, cpuMs };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

function headers(config: Kubeconfig, method: string, path: string, type = 'application/json') {
  return {
    ':method': method,
    ':path': path,
    authorization: `Bearer ${config.token}`,
    'content-type': type,
    accept: 'application/json',
  };
}

export async function ask(
  session: ClientHttp2Session,
  config: Kubeconfig,
  method: string,
  path: string,
  body?: object,
  type?: string,
): Promise<string> {
  const stream = session.request(headers(config, method, path, type));
  stream.end(body === undefined ? undefined : JSON.stringify(body));
  const [head] = (await once(stream, 'response')) as [Record<string, unknown>];
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  if (Number(head[':status']) >= 300) throw new Error(`${method} ${path}: ${text.slice(0, 300)}`);
  return text;
}

/** All of an answer, without keeping it. */
async function read(session: ClientHttp2Session, config: Kubeconfig, path: string): Promise<void> {
  const stream = session.request(headers(config, 'GET', path));
  stream.end();
  for await (const _ of stream);
  if (stream.rstCode !== 0) throw new Error(`GET ${path}: the answer was cut`);
}

function pod(name: string): object {
  // Nobody schedules them: the API server is measured, and not what controllers write afterwards.
  return benchPod({ name, app: 'bench', placement: { schedulerName: 'bench' } });
}
