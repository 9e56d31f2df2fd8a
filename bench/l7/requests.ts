/**
 * `npm run bench -- l7`: requests through a waypoint in a lab, ours and a stock Envoy with one worker, interleaved: nginx (and a server of
 * gRPC) behind three routes, a policy that names the caller, stock metrics and access log on. Both ends of the waypoint are HBONE by the same
 * two node proxies, which share the machine, so the waypoint's own CPU per request stands beside the requests a second. Half the load is half
 * of the lower of both throughputs at 32 connections.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { serviceKind } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import type { LabApi, PodRef } from '../../lab/index.ts';
import { cgroupName } from '../../lab/names.ts';
import { cgroupProcesses, cgroupRoot } from '../../lab/system/cgroup.ts';
import { goProgramPath } from '../../test/harness/go-programs.ts';
import type { PaceResult } from '../../test/harness/pace.ts';
import { type HttpResult, type Target, wrk } from '../load.ts';
import { usageOf } from '../process-tree.ts';
import { findPair, makePair, manifest, withLab } from '../rig.ts';
import { median, percentile } from '../statistics.ts';
import { printTable, type Row, writeResults } from '../table.ts';
import { gigabyte, grpcCalls, http2Gets, http2Load, makeGigabyte, prepareGrpc, startPace } from './loads.ts';
import { changeRoutes, type RouteChanges } from './route-change.ts';

const engines = [
  { name: 'ours', namespace: 'ours', image: 'aquifer/waypoint' },
  { name: 'Envoy', namespace: 'envoy', image: 'istio/proxyv2' },
] as const;
const patience = 60_000;

interface Subject {
  readonly name: string;
  readonly namespace: string;
  readonly client: PodRef;
  /** Of the Service of nginx. */
  readonly ip: string;
  readonly grpcIp: string;
  /** Of the waypoint's container. */
  pids(): readonly number[];
}

interface Rate {
  readonly rps: number;
  /** CPU of the waypoint for a request. */
  readonly cpuUs: number;
}

interface Sample {
  readonly one: HttpResult;
  readonly many: HttpResult & Rate;
  readonly http2: Rate;
  readonly grpc: Rate;
  /** MB/s of a body of 1 GB. */
  readonly download: number;
  readonly upload: number;
  readonly half: PaceResult;
  readonly rssMb: number;
}

export interface RequestsOptions {
  readonly rounds: number;
  /** Seconds of each measurement. */
  readonly seconds: number;
  /** Of a route. */
  readonly changes: number;
}

export async function benchL7Requests({ rounds, seconds, changes }: RequestsOptions): Promise<void> {
  await withLab({ progress: say }, async (lab) => {
    const subjects = await makeSubjects(lab);
    const samples: (readonly Sample[])[] = [];
    for (let round = 1; round <= rounds; round++)
      samples.push(await measure(lab, subjects, seconds, `round ${round} of ${rounds}`));
    const lowest = Math.min(...samples.flatMap((round) => round.map((s) => s.many.rps)));
    const changed: RouteChanges[] = [];
    for (const { name, namespace, client, ip } of subjects) {
      say(`${changes} changes of a route: ${name}`);
      changed.push(await changeRoutes(lab, namespace, client, ip, { rate: lowest / 2, changes }));
    }
    report(subjects, samples, changed);
    await writeResults('l7', { rounds, seconds, engines: subjects.map((s) => s.name), samples, changed });
  });
}

function report(
  subjects: readonly Subject[],
  samples: readonly (readonly Sample[])[],
  changed: readonly RouteChanges[],
) {
  const row = (name: string, unit: string, pick: (s: Sample) => number, goal?: Row['goal']): Row => ({
    name,
    unit,
    digits: 0,
    values: subjects.map((_, i) => median(samples.map((round) => pick(round[i]!)))),
    ...(goal && { goal }),
  });
  const change = (name: string, unit: string, pick: (c: RouteChanges) => number, goal?: Row['goal']): Row => ({
    name,
    unit,
    digits: 0,
    values: changed.map(pick),
    ...(goal && { goal }),
  });
  printTable(
    subjects.map((s) => s.name),
    [
      row('HTTP/1.1, 32 connections', 'requests/s', (s) => s.many.rps, { ratioAtLeast: 0.9 }),
      row('the same, p50', 'us', (s) => s.many.p50Us),
      row('the same, p99', 'us', (s) => s.many.p99Us),
      row('the same, CPU of the waypoint', 'us a request', (s) => s.many.cpuUs),
      row('HTTP/1.1, 1 connection', 'requests/s', (s) => s.one.rps),
      row('the same, p50', 'us', (s) => s.one.p50Us),
      row(`HTTP/2, ${inFlight}`, 'requests/s', (s) => s.http2.rps, { ratioAtLeast: 0.5 }),
      row('the same, CPU of the waypoint', 'us a request', (s) => s.http2.cpuUs),
      row(`gRPC unary, ${inFlight}`, 'calls/s', (s) => s.grpc.rps, { ratioAtLeast: 0.5 }),
      row('the same, CPU of the waypoint', 'us a call', (s) => s.grpc.cpuUs),
      row('a body of 1 GB to the client', 'MB/s', (s) => s.download, { ratioAtLeast: 0.5 }),
      row('a body of 1 GB to the server', 'MB/s', (s) => s.upload, { ratioAtLeast: 0.5 }),
      row('half the load (the same for both), p50', 'us', (s) => s.half.p50),
      row('the same, p99', 'us', (s) => s.half.p99, { ratioAtMost: 1.5 }),
      row('the same, requests lost', 'requests', (s) => s.half.lost, { atMost: 0 }),
      change('a route change is live under it, p50', 'ms', (c) => percentile(c.latencies, 50)),
      change('the same, p99', 'ms', (c) => percentile(c.latencies, 99), { atMost: 100 }),
      change('the same, requests lost', 'requests', (c) => c.lost, { atMost: 0 }),
      row('memory of the waypoint and its agent', 'MB', (s) => s.rssMb),
    ],
  );
  const [ours] = changed;
  process.stdout.write(`\n${ours!.latencies.length} changes, ${ours!.sent} requests meanwhile\n`);
}

const inFlight = `${http2Load.connections} connections of ${http2Load.streams} streams`;

async function makeSubjects(lab: LabApi): Promise<readonly Subject[]> {
  const grpc = dirname(goProgramPath('grpc-interop'));
  for (const { namespace, image } of engines) {
    await makePair(lab, namespace, 'ambient');
    await lab.apply(await manifest('waypoint', { NAMESPACE: namespace, IMAGE: image, GRPC: grpc }));
  }
  await lab.waitReady();
  await lab.waitEnrolled();
  const subjects: Subject[] = [];
  for (const { name, namespace } of engines) subjects.push(await subjectOf(lab, name, namespace));
  for (const { client, ip } of subjects) await wrk(lab, client, targetOf(ip), { connections: 32, close: false }, 3);
  return subjects;
}

async function subjectOf(lab: LabApi, name: string, namespace: string): Promise<Subject> {
  const { client } = await findPair(lab, namespace);
  const ip = await boundService(lab, namespace, 'web');
  const grpcIp = await boundService(lab, namespace, 'grpc');
  const [waypoint] = await lab.podsOf(`${namespace}/waypoint`);
  if (waypoint === undefined) throw new Error(`${namespace} has no waypoint`);
  const cgroup = findFolder(join(cgroupRoot(), cgroupName(lab.name)), `pod${waypoint.metadata.uid}`);
  if (cgroup === undefined) throw new Error(`no cgroup of ${namespace}'s waypoint`);
  // Node proxies may not know of it yet, and then calls go past it: its log tells which came.
  const logged = async () => (await lab.logs({ namespace, name: waypoint.metadata.name })).split('\n').length;
  const comes = (what: string, call: () => Promise<boolean>) =>
    until(
      `${what} through the waypoint of ${namespace}`,
      async () => {
        const before = await logged();
        if (!(await call())) return undefined;
        return await until('its log', async () => (await logged()) > before || undefined, 500).catch(() => undefined);
      },
      patience,
    );
  const curl = ['curl', '-sf', '-o', '/dev/null', `http://${ip}/`];
  await comes('calls', async () => (await lab.exec(client, curl)).code === 0);
  await comes('gRPC', () => prepareGrpc(lab, client, grpcIp));
  await makeGigabyte(lab, client);
  return { name, namespace, client, ip, grpcIp, pids: () => processesBelow(cgroup) };
}

/** The cluster IP of a Service that is behind its waypoint. */
async function boundService(lab: LabApi, namespace: string, name: string): Promise<string> {
  const service = await until(
    `the waypoint of ${namespace}/${name}`,
    async () => {
      const found = await lab.kube.get(serviceKind, { namespace, name });
      const { conditions = [] } = (found?.status ?? {}) as { conditions?: { type: string; status: string }[] };
      return conditions.some((c) => c.type === 'istio.io/WaypointBound' && c.status === 'True') ? found : undefined;
    },
    patience,
  );
  return service.spec.clusterIP ?? '';
}

/** One of each subject, measurement by measurement, so that each pair of values is of the same moment. */
async function measure(
  lab: LabApi,
  subjects: readonly Subject[],
  seconds: number,
  round: string,
): Promise<readonly Sample[]> {
  const each = async <T>(what: string, work: (s: Subject) => Promise<T>): Promise<readonly T[]> => {
    say(`${round}: ${what}`);
    const results: T[] = [];
    for (const subject of subjects) results.push(await work(subject));
    return results;
  };
  const http1 = (s: Subject, connections: number) =>
    wrk(lab, s.client, targetOf(s.ip), { connections, close: false }, seconds);
  const one = await each('1 connection', (s) => http1(s, 1));
  const many = await each('32 connections', (s) =>
    withCpu(s, async () => {
      const result = await http1(s, 32);
      return { ...result, requests: result.rps * seconds };
    }),
  );
  const http2 = await each('HTTP/2', (s) => withCpu(s, () => http2Gets(lab, s.client, s.ip, seconds)));
  const grpc = await each('gRPC', (s) => withCpu(s, () => grpcCalls(lab, s.client, s.grpcIp, seconds)));
  const download = await each('1 GB to the client', (s) => gigabyte(lab, s.client, s.ip, 'client'));
  const upload = await each('1 GB to the server', (s) => gigabyte(lab, s.client, s.ip, 'server'));
  const rate = Math.min(...many.map((m) => m.rps)) / 2;
  const half = await each('half the load', async (s) => (await startPace(lab, s.client, s.ip, rate, seconds)).result);
  return subjects.map((s, i) => ({
    one: one[i]!,
    many: many[i]!,
    http2: http2[i]!,
    grpc: grpc[i]!,
    download: download[i]!,
    upload: upload[i]!,
    half: half[i]!,
    rssMb: usageOf(s.pids()).rssMb,
  }));
}

async function withCpu<T extends { readonly requests: number }>(s: Subject, work: () => Promise<T>) {
  const before = usageOf(s.pids()).cpuSeconds;
  const result = await work();
  return { ...result, cpuUs: ((usageOf(s.pids()).cpuSeconds - before) / result.requests) * 1e6 };
}

function targetOf(ip: string): Target {
  return { ip, iperfPort: 0, httpPort: 80 };
}

function findFolder(below: string, name: string): string | undefined {
  for (const entry of readdirSync(below, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    if (entry.name === name) return join(below, name);
    const deeper = findFolder(join(below, entry.name), name);
    if (deeper !== undefined) return deeper;
  }
  return undefined;
}

/** Those that no other of them started, since usage counts children. */
function processesBelow(cgroup: string): readonly number[] {
  const folders = readdirSync(cgroup, { recursive: true, withFileTypes: true }).filter((e) => e.isDirectory());
  const all = [cgroup, ...folders.map((e) => join(e.parentPath, e.name))].flatMap(cgroupProcesses);
  return all.filter((pid) => !all.includes(parentOf(pid)));
}

function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

function say(text: string): void {
  process.stderr.write(`  ${text}\n`);
}
