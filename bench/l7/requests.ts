/**
 * `npm run bench -- l7`: requests through a waypoint in a lab, ours and a stock Envoy with one worker, interleaved: nginx behind three routes,
 * a policy that names the caller, stock metrics and access log on. Both ends of the waypoint are HBONE by the same two node proxies, which
 * share the machine, so the waypoint's own CPU per request stands beside the requests a second.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { serviceKind } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import type { LabApi, PodRef } from '../../lab/index.ts';
import { cgroupName } from '../../lab/names.ts';
import { cgroupProcesses, cgroupRoot } from '../../lab/system/cgroup.ts';
import { type HttpResult, type Target, wrk } from '../load.ts';
import { usageOf } from '../process-tree.ts';
import { findPair, makePair, manifest, withLab } from '../rig.ts';
import { median } from '../statistics.ts';
import { printTable, writeResults } from '../table.ts';

const engines = [
  { name: 'ours', namespace: 'ours', image: 'aquifer/waypoint' },
  { name: 'Envoy', namespace: 'envoy', image: 'istio/proxyv2' },
] as const;
const patience = 60_000;

interface Subject {
  readonly name: string;
  readonly client: PodRef;
  readonly target: Target;
  /** Of the waypoint's container. */
  pids(): readonly number[];
}

interface Sample {
  readonly one: HttpResult;
  readonly many: HttpResult;
  /** CPU of the waypoint for a request at 32 connections. */
  readonly cpuUs: number;
  readonly rssMb: number;
}

export interface RequestsOptions {
  readonly rounds: number;
  /** Seconds of each measurement. */
  readonly seconds: number;
}

export async function benchL7Requests({ rounds, seconds }: RequestsOptions): Promise<void> {
  await withLab({ progress: say }, async (lab) => {
    for (const { namespace, image } of engines) {
      await makePair(lab, namespace, 'ambient');
      await lab.apply(await manifest('waypoint', { NAMESPACE: namespace, IMAGE: image }));
    }
    await lab.waitReady();
    await lab.waitEnrolled();
    const subjects: Subject[] = [];
    for (const { name, namespace } of engines) subjects.push(await subjectOf(lab, name, namespace));
    const samples = new Map<Subject, Sample[]>(subjects.map((s) => [s, []]));
    for (const { client, target } of subjects) await wrk(lab, client, target, { connections: 32, close: false }, 3);
    for (let round = 1; round <= rounds; round++) {
      for (const subject of subjects) {
        say(`round ${round} of ${rounds}: ${subject.name}`);
        samples.get(subject)!.push(await measure(lab, subject, seconds));
      }
    }
    const row = (name: string, unit: string, digits: number, pick: (s: Sample) => number) => ({
      name,
      unit,
      digits,
      values: subjects.map((s) => median(samples.get(s)!.map(pick))),
    });
    const rows = [
      row('HTTP/1.1, 32 connections', 'requests/s', 0, (s) => s.many.rps),
      row('the same, p50', 'us', 0, (s) => s.many.p50Us),
      row('the same, p99', 'us', 0, (s) => s.many.p99Us),
      row('the same, CPU of the waypoint', 'us a request', 0, (s) => s.cpuUs),
      row('HTTP/1.1, 1 connection', 'requests/s', 0, (s) => s.one.rps),
      row('the same, p50', 'us', 0, (s) => s.one.p50Us),
      row('memory of the waypoint and its agent', 'MB', 0, (s) => s.rssMb),
    ];
    printTable(
      subjects.map((s) => s.name),
      rows,
    );
    await writeResults('l7', { rounds, seconds, rows });
  });
}

async function subjectOf(lab: LabApi, name: string, namespace: string): Promise<Subject> {
  const pair = await findPair(lab, namespace);
  const service = await until(
    `the waypoint of ${namespace}`,
    async () => {
      const found = await lab.kube.get(serviceKind, { namespace, name: 'web' });
      const { conditions = [] } = (found?.status ?? {}) as { conditions?: { type: string; status: string }[] };
      return conditions.some((c) => c.type === 'istio.io/WaypointBound' && c.status === 'True') ? found : undefined;
    },
    patience,
  );
  const target: Target = { ip: service.spec.clusterIP ?? '', iperfPort: 0, httpPort: 80 };
  const [waypoint] = await lab.podsOf(`${namespace}/waypoint`);
  const ip = waypoint?.status?.podIP;
  if (waypoint === undefined || ip === undefined) throw new Error(`${namespace} has no waypoint`);
  const cgroup = findFolder(join(cgroupRoot(), cgroupName(lab.name)), `pod${waypoint.metadata.uid}`);
  if (cgroup === undefined) throw new Error(`no cgroup of ${namespace}'s waypoint`);
  // Node proxies may not know of it yet, and then calls go past it: its log tells which came.
  const logged = async () => (await lab.logs({ namespace, name: waypoint.metadata.name })).split('\n').length;
  const before = await logged();
  await until(
    `calls through the waypoint of ${namespace}`,
    async () => {
      const { code } = await lab.exec(pair.client, ['curl', '-sf', '-o', '/dev/null', `http://${target.ip}/`]);
      return (code === 0 && (await logged()) > before) || undefined;
    },
    patience,
  );
  return { name, client: pair.client, target, pids: () => processesBelow(cgroup) };
}

async function measure(lab: LabApi, { client, target, pids }: Subject, seconds: number): Promise<Sample> {
  const one = await wrk(lab, client, target, { connections: 1, close: false }, seconds);
  const before = usageOf(pids()).cpuSeconds;
  const many = await wrk(lab, client, target, { connections: 32, close: false }, seconds);
  const { cpuSeconds, rssMb } = usageOf(pids());
  return { one, many, cpuUs: ((cpuSeconds - before) / (many.rps * seconds)) * 1e6, rssMb };
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
