/**
 * `npm run bench -- istiod`: istiod alone in its process, the API server in another, clients in a third. Goals are those of a real
 * istiod on the same kind of machine (2 cores). Both others give way to istiod, as on machines of their own they would not be in its way.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { loadavg, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../common/core/clock.ts';
import { createLogger, LogLevels } from '../../common/core/log.ts';
import { createKubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { installDefinitions } from '../../istiod/crds/install.ts';
import { startApi } from '../api/bench.ts';
import { percentile } from '../statistics.ts';
import { printTable, type Row, writeResults } from '../table.ts';
import { addressOf, atOnce, Cluster, object } from './cluster.ts';
import { startDiscovery } from './discovery.ts';
import { Fleet, monotonic } from './fleet.ts';

export interface IstiodBenchOptions {
  /** 1,000 pods, short loads. */
  readonly quick: boolean;
  /** Keeps the API server's objects here between runs; undefined: a folder that is removed. */
  readonly data: string | undefined;
  /** Also 100,000 changes. */
  readonly long: boolean;
}

const clients = 50;
const samples = 100;
/** Of the threads in which the API server and the clients run JavaScript. */
const niceness = 5;

interface Figures {
  loadCpu?: number;
  startMs?: number;
  startCpu?: number;
  settledMb?: number;
  firstSyncMs?: number;
  syncBytes?: number;
  allSyncMs?: number;
  allSyncCpu?: number;
  peakMb?: number;
  addressP50?: number;
  addressP99?: number;
  policyP50?: number;
  policyP99?: number;
  createsPerSecond?: number;
  silenceMs?: number;
  changesPerSecond?: number;
  convergeP50?: number;
  convergeP99?: number;
  changeCpu?: number;
  startStallMs?: number;
  syncStallMs?: number;
  stallMs?: number;
  stallOwnMs?: number;
  stallCpuMs?: number;
  growthMb?: number;
}

const goals: Readonly<Record<number, Readonly<Figures>>> = {
  1000: { settledMb: 163, peakMb: 179, firstSyncMs: 14, allSyncMs: 110, allSyncCpu: 0.08 },
  10000: {
    settledMb: 384,
    peakMb: 460,
    firstSyncMs: 155,
    allSyncMs: 1_400,
    allSyncCpu: 2.1,
    loadCpu: 18,
    startMs: 7_400,
  },
};
const commonGoals: Readonly<Figures> = {
  addressP50: 25,
  addressP99: 60,
  policyP50: 25,
  policyP99: 60,
  createsPerSecond: 160,
  silenceMs: 1_000,
  changesPerSecond: 1_000,
  convergeP99: 2_000,
  startStallMs: 50,
  syncStallMs: 50,
  stallMs: 50,
  growthMb: 0,
};

export async function benchIstiod({ quick, data, long }: IstiodBenchOptions): Promise<void> {
  const sizes = quick ? [1_000] : [1_000, 10_000];
  const all: Figures[] = [];
  for (const pods of sizes) {
    const base = data ?? (await mkdtemp(join(tmpdir(), 'aquifer-bench-istiod-')));
    const dir = join(base, String(pods));
    await mkdir(dir, { recursive: true });
    try {
      all.push(await measure(dir, pods, pods / 10, quick ? 5_000 : 60_000, long));
    } finally {
      if (data === undefined) await rm(base, { recursive: true, force: true });
    }
  }
  print(sizes, all);
  await writeResults('istiod', { load: loadavg(), figures: Object.fromEntries(sizes.map((s, i) => [s, all[i]])) });
}

async function measure(dir: string, pods: number, services: number, loadMs: number, long: boolean): Promise<Figures> {
  const api = await startApi(join(dir, 'api'));
  const kubeconfig = join(dir, 'api/kubeconfig');
  const cluster = new Cluster(api.kubeconfig, pods, services);
  const fleet = new Fleet();
  const figures: Figures = {};
  for (const pid of [api.pid, fleet.pid]) setPriority(pid, niceness);
  try {
    if (!(await cluster.isThere())) {
      await installKinds(kubeconfig);
      await cluster.makeServices();
      const loading = await startDiscovery(kubeconfig, join(dir, 'istiod'));
      const before = loading.cpuSeconds();
      await cluster.makePods();
      await settled(loading);
      figures.loadCpu = loading.cpuSeconds() - before;
      await loading.stop();
    }
    const istiod = await startDiscovery(kubeconfig, join(dir, 'istiod'));
    try {
      figures.startMs = istiod.startMs;
      figures.startCpu = istiod.cpuSeconds();
      figures.startStallMs = (await istiod.stall()).ms;
      await settled(istiod);
      const first = await fleet.connect(istiod.grpc, 1);
      figures.firstSyncMs = first.ms[0]!;
      figures.syncBytes = first.bytes;
      await settled(istiod);
      figures.settledMb = istiod.rssMb();
      istiod.peakMb();
      const [cpu, began] = [istiod.cpuSeconds(), performance.now()];
      await fleet.connect(istiod.grpc, clients);
      figures.allSyncMs = performance.now() - began;
      await settled(istiod);
      figures.allSyncCpu = istiod.cpuSeconds() - cpu;
      figures.peakMb = istiod.peakMb();
      fleet.disconnect(1);
      await settled(istiod);
      istiod.look();
      await fleet.connect(istiod.grpc, clients);
      figures.syncStallMs = (await istiod.stall()).ms;
      fleet.disconnect(1);
      await settled(istiod);
      istiod.look();
      await changes(cluster, fleet, figures);
      await creates(cluster, fleet, figures, loadMs);
      await storm(cluster, fleet, figures, loadMs, istiod);
      const { ms, ownMs, cpuMs } = await istiod.stall();
      [figures.stallMs, figures.stallOwnMs, figures.stallCpuMs] = [ms, ownMs, cpuMs];
      if (long) figures.growthMb = await growth(cluster, istiod);
    } finally {
      await istiod.stop();
    }
  } finally {
    fleet.stop();
    cluster.close();
    await api.stop();
  }
  return figures;
}

async function installKinds(kubeconfig: string): Promise<void> {
  const client = createKubeClient({ access: loadKubeconfig(kubeconfig) });
  const sink = {
    levels: new LogLevels('warn'),
    format: 'plain',
    write: (line: string) => void process.stderr.write(line),
  } as const;
  await installDefinitions(client, systemClock, createLogger(sink, 'bench'));
  client.close();
}

/** When it used less than a tenth of a core for a second. */
async function settled(istiod: { cpuSeconds(): number }): Promise<void> {
  for (;;) {
    const before = istiod.cpuSeconds();
    await pause(1_000);
    if (istiod.cpuSeconds() - before < 0.1) return;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** From sending the PATCH to the client's receipt, one after another. */
async function changes(cluster: Cluster, fleet: Fleet, figures: Figures): Promise<void> {
  const addresses: number[] = [];
  // Other addresses than those of a run before on the same objects.
  const octet = 192 + (Date.now() % 32);
  for (let i = 0; i < samples; i++) {
    const ip = `10.${octet}.${i}.${cluster.pods % 251}`;
    const { seen } = await fleet.watch(Buffer.from(ip.split('.').map(Number)));
    const sent = monotonic();
    await cluster.setAddress(i, ip);
    addresses.push((await seen) - sent);
  }
  figures.addressP50 = percentile(addresses, 50);
  figures.addressP99 = percentile(addresses, 99);
  for (let i = 0; i < samples; i++) await cluster.setAddress(i, addressOf(i));
  const path = '/apis/security.istio.io/v1/namespaces/bench-0/authorizationpolicies';
  await cluster.ask('POST', path, {
    ...object('security.istio.io/v1', 'AuthorizationPolicy', { name: 'bench' }),
    spec: { rules: [{ from: [{ source: { principals: ['cluster.local/ns/x/sa/first'] } }] }] },
  });
  const policies: number[] = [];
  for (let i = 0; i < samples; i++) {
    const principal = `cluster.local/ns/x/sa/change-${i}-end`;
    const { seen } = await fleet.watch(Buffer.from(principal));
    const sent = monotonic();
    const spec = { rules: [{ from: [{ source: { principals: [principal] } }] }] };
    await cluster.ask('PATCH', `${path}/bench`, { spec }, 'application/merge-patch+json');
    policies.push((await seen) - sent);
  }
  figures.policyP50 = percentile(policies, 50);
  figures.policyP99 = percentile(policies, 99);
  await cluster.ask('DELETE', `${path}/bench`);
}

/** Services at a steady pace. */
async function creates(cluster: Cluster, fleet: Fleet, figures: Figures, ms: number): Promise<void> {
  await fleet.silence();
  const made: string[] = [];
  const rate = await paced(160, ms, async (i) => {
    const path = `/api/v1/namespaces/bench-${i % 10}/services`;
    await cluster.ask('POST', path, {
      ...object('v1', 'Service', { name: `extra-${i}` }),
      spec: { clusterIP: 'None', ports: [{ name: 'http', port: 80 }] },
    });
    made.push(`${path}/extra-${i}`);
  });
  figures.createsPerSecond = rate;
  figures.silenceMs = await fleet.silence();
  await paced(400, made.length * 2.5, async () => {
    const path = made.pop();
    if (path !== undefined) await cluster.ask('DELETE', path);
  });
  while (made.length > 0) await cluster.ask('DELETE', made.pop()!);
}

/** Changes of pods' addresses as fast as 1,000 a second; one in twenty is followed from its write to the client. */
async function storm(
  cluster: Cluster,
  fleet: Fleet,
  figures: Figures,
  ms: number,
  istiod: { cpuSeconds(): number },
): Promise<void> {
  const delays: Promise<number>[] = [];
  const before = istiod.cpuSeconds();
  const octet = 128 + (Date.now() % 64);
  const writer = await cluster.openWriter();
  figures.changesPerSecond = await paced(1_000, ms, async (i) => {
    const [low, high] = [i & 255, (i >> 8) & 255];
    const ip = `10.${octet}.${high}.${low}`;
    const watched = i % 20 === 0 ? await fleet.watch(Buffer.from(ip.split('.').map(Number))) : undefined;
    const sent = monotonic();
    if (watched) delays.push(watched.seen.then((at) => at - sent));
    await cluster.writeAddress(writer, i % cluster.pods, ip);
  });
  const seen = await Promise.all(delays);
  writer.close();
  figures.changeCpu = ((istiod.cpuSeconds() - before) * 1000) / (figures.changesPerSecond * (ms / 1000));
  figures.convergeP50 = percentile(seen, 50);
  figures.convergeP99 = percentile(seen, 99);
}

/** Runs `work` at that rate a second, or as fast as it gets done with 64 at once; returns the rate. */
async function paced(perSecond: number, ms: number, work: (i: number) => Promise<void>): Promise<number> {
  const began = performance.now();
  let next = 0;
  const worker = async () => {
    for (;;) {
      const i = next++;
      const wait = (i * 1_000) / perSecond - (performance.now() - began);
      if (wait > 0) await pause(wait);
      if (performance.now() - began >= ms) {
        next--;
        return;
      }
      await work(i);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return (next * 1_000) / (performance.now() - began);
}

/** MiB by which 100,000 changes made it larger, after as many to warm up a tenth of them. */
async function growth(cluster: Cluster, istiod: { rssMb(): number; cpuSeconds(): number }): Promise<number> {
  const change = async (count: number) => {
    const writer = await cluster.openWriter();
    let next = 0;
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        while (next < count) {
          const i = next++;
          await cluster.writeAddress(
            writer,
            i % cluster.pods,
            `10.${220 + ((i >> 16) & 3)}.${(i >> 8) & 255}.${i & 255}`,
          );
        }
      }),
    );
    writer.close();
    await settled(istiod);
    return istiod.rssMb();
  };
  const before = await change(10_000);
  return (await change(100_000)) - before;
}

function print(sizes: readonly number[], all: readonly Figures[]): void {
  const row = (name: string, key: keyof Figures, unit: string, digits = 0): Row => {
    const wanted = sizes.map((s) => goals[s]?.[key] ?? commonGoals[key]);
    const goal = wanted.some((g) => g !== undefined) ? ` (goal: ${[...new Set(wanted)].join('; ')})` : '';
    return { name: `${name}${goal}`, unit, digits, values: all.map((f) => f[key]) };
  };
  printTable(
    sizes.map((s) => `${s} pods`),
    [
      row('CPU while the pods load', 'loadCpu', 's', 1),
      row('start to ready', 'startMs', 'ms'),
      row('CPU of it', 'startCpu', 's', 1),
      row('resident memory settled', 'settledMb', 'MiB'),
      row('first full sync', 'firstSyncMs', 'ms'),
      row('bytes of it', 'syncBytes', 'B'),
      row(`${clients} clients at once, last done`, 'allSyncMs', 'ms'),
      row('CPU of it', 'allSyncCpu', 's', 2),
      row('peak of memory with them', 'peakMb', 'MiB'),
      row('address changed, p50', 'addressP50', 'ms', 1),
      row('address changed, p99', 'addressP99', 'ms', 1),
      row('policy changed, p50', 'policyP50', 'ms', 1),
      row('policy changed, p99', 'policyP99', 'ms', 1),
      row('creates', 'createsPerSecond', '1/s'),
      row('longest silence meanwhile', 'silenceMs', 'ms'),
      row('changes', 'changesPerSecond', '1/s'),
      row('from write to client, p50', 'convergeP50', 'ms'),
      row('from write to client, p99', 'convergeP99', 'ms'),
      row('CPU a change', 'changeCpu', 'ms', 2),
      row('longest stall of the event loop at start', 'startStallMs', 'ms'),
      row('longest stall of the event loop in syncs', 'syncStallMs', 'ms'),
      row('longest stall of the event loop in changes', 'stallMs', 'ms'),
      row('longest beside what it waited for a core', 'stallOwnMs', 'ms'),
      row('most CPU of its thread between two turns then', 'stallCpuMs', 'ms', 1),
      row('growth over 100,000 changes', 'growthMb', 'MiB', 1),
    ],
  );
  process.stdout.write(
    `\nload of the machine: ${loadavg()
      .map((l) => l.toFixed(1))
      .join(' ')}\n`,
  );
}
