/**
 * How long a policy takes: from its write to the API server to the first refused connect, and to the close of an open connection, on
 * both nodes.
 */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { LabApi, LabProcess, PodRef } from '../lab/index.ts';
import { findPair, makePair, manifest, withLab } from './rig.ts';
import { percentile } from './statistics.ts';
import { writeResults } from './table.ts';

const namespace = 'policy';
/** Sees this checkout, for policy-probe.ts and its Node. */
const nodeImage = 'aquifer/client';
/** Ports of the denied connections: 8080 refuses all calls, 1 none. */
const denied = 8_080;
const nothing = 1;

export interface PolicyLatencyOptions {
  readonly writes: number;
}

interface Latency {
  readonly node: string;
  /** Milliseconds. */
  readonly refused: number;
  readonly closed: number;
}

export async function benchPolicyLatency({ writes }: PolicyLatencyOptions): Promise<void> {
  await withLab({ progress: (line) => process.stderr.write(`  ${line}\n`) }, async (lab) => {
    await makePair(lab, namespace, 'ambient', nodeImage);
    await lab.apply(await manifest('mirror', { NAMESPACE: namespace, CLIENT: nodeImage }));
    await lab.waitReady();
    await lab.waitEnrolled();
    const there = await findPair(lab, namespace);
    const [mirror] = await lab.podsOf(`${namespace}/mirror`);
    const [back] = await lab.podsOf(`${namespace}/mirror-client`);
    const mirrorIp = mirror?.status?.podIPs?.[0]?.ip;
    if (mirrorIp === undefined || back === undefined)
      throw new Error('the pods of bench/manifests/mirror.yaml are missing');
    const probes = [
      await startProbe(lab, 'node-2', there.client, there.target.ip),
      await startProbe(lab, 'node-1', { namespace, name: back.metadata.name }, mirrorIp),
    ];
    try {
      const latencies: Latency[] = [];
      for (let i = 0; i < writes; i++) latencies.push(...(await denyOnce(lab, probes)));
      report(latencies);
      await writeResults('policy-latency', { writes, latencies });
    } finally {
      for (const probe of probes) probe.process.kill('SIGKILL');
    }
  });
}

function report(latencies: readonly Latency[]): void {
  process.stdout.write('\nfrom the write of a policy, ms                    p50      p99      max\n');
  for (const node of [...new Set(latencies.map((l) => l.node))].sort()) {
    const here = latencies.filter((l) => l.node === node);
    for (const [name, values] of [
      ['first refused connect', here.map((l) => l.refused)],
      ['close of an open connection', here.map((l) => l.closed)],
    ] as const) {
      const numbers = [percentile(values, 50), percentile(values, 99), Math.max(...values)];
      const text = numbers.map((n) => n.toFixed(1).padStart(8)).join(' ');
      process.stdout.write(`${`${node}: ${name}`.padEnd(44)} ${text}   (n=${values.length})\n`);
    }
  }
}

/** A process in a client pod that keeps one connection open and makes new ones, and says when either ends (policy-probe.ts). */
interface Probe {
  /** The node whose proxy enforces. */
  readonly node: string;
  readonly process: LabProcess;
  /** Resolves with the nanoseconds (CLOCK_MONOTONIC) of the next report of this kind. */
  next(kind: 'open' | 'refused' | 'closed'): Promise<bigint>;
}

async function startProbe(lab: LabApi, node: string, pod: PodRef, ip: string): Promise<Probe> {
  const script = join(import.meta.dirname, 'policy-probe.ts');
  const process_ = await lab.spawn(pod, [process.execPath, script, ip, String(denied)]);
  const waiting = new Map<string, (at: bigint) => void>();
  const early = new Map<string, bigint>();
  createInterface({ input: process_.stdout }).on('line', (line) => {
    const [kind = '', at = '0'] = line.split(' ');
    const resolve = waiting.get(kind);
    waiting.delete(kind);
    if (resolve === undefined) early.set(kind, BigInt(at));
    else resolve(BigInt(at));
  });
  process_.stderr.pipe(process.stderr);
  const next = (kind: string) => {
    const at = early.get(kind);
    early.delete(kind);
    if (at !== undefined) return Promise.resolve(at);
    return new Promise<bigint>((resolve) => waiting.set(kind, resolve));
  };
  return { node, process: process_, next };
}

async function denyOnce(lab: LabApi, probes: readonly Probe[]): Promise<readonly Latency[]> {
  await Promise.all(probes.map((p) => p.next('open')));
  const written = await putPolicy(lab, denied);
  const latencies = await Promise.all(
    probes.map(async (probe): Promise<Latency> => {
      const [refused, closed] = await Promise.all([probe.next('refused'), probe.next('closed')]);
      return { node: probe.node, refused: Number(refused - written) / 1e6, closed: Number(closed - written) / 1e6 };
    }),
  );
  await putPolicy(lab, nothing);
  for (const probe of probes) probe.process.stdin.write('again\n');
  return latencies;
}

/** Writes the policy; returns the moment just before. */
async function putPolicy(lab: LabApi, port: number): Promise<bigint> {
  const at = process.hrtime.bigint();
  await lab.kube.apply(policy(port), { fieldManager: 'bench', force: true });
  return at;
}

function policy(port: number) {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { namespace, name: 'bench' },
    spec: { action: 'DENY', rules: [{ to: [{ operation: { ports: [`${port}`] } }] }] },
  };
}
