/** Throughput, requests, memory and CPU of each variant, interleaved in rounds so that a busy moment hits all of them. */
import type { LabApi } from '../lab/index.ts';
import { enlargeAllPackets } from './large-packets.ts';
import { iperf, wrk } from './load.ts';
import { usageOf } from './process-tree.ts';
import { makeNearPair, makePair, namespaces, nearNamespaces, withLab } from './rig.ts';
import { median } from './statistics.ts';
import { printTable, type Row, writeResults } from './table.ts';
import { nearVariants, startVariants, type Variant } from './variants.ts';

export interface L4Options {
  /** Path of a real ztunnel to compare with. */
  readonly peer: string | undefined;
  /** AQUIFER_ENGINE of ours. */
  readonly engine: string;
  /** AQUIFER_ENGINE_SPIN_US of ours. */
  readonly spin: number;
  /** Whether all that is compared has packets of 256 KiB, or none of it. */
  readonly bigTcp: boolean;
  /** Pairs on one node instead, one of them past the proxy. */
  readonly sameNode: boolean;
  readonly rounds: number;
  /** Seconds of each measurement. */
  readonly seconds: number;
}

/** One round's values; absent ones do not apply to the variant. */
interface Sample {
  readonly mbits1: number;
  readonly mbits4: number;
  readonly one: { readonly p50Us: number; readonly p99Us: number; readonly rps: number };
  readonly many: { readonly p50Us: number; readonly p99Us: number; readonly rps: number };
  readonly newRps8: number;
  readonly newRps32: number;
  readonly rssMb: number | undefined;
  readonly cpuPerGb: number | undefined;
}

export async function benchL4({ peer, engine, spin, bigTcp, sameNode, rounds, seconds }: L4Options): Promise<void> {
  // What our agent does to the pods in the mesh alone is not compared.
  const env = {
    ztunnel: { AQUIFER_ENGINE: engine, AQUIFER_ENGINE_SPIN_US: `${spin}` },
    'cni-agent': { AQUIFER_BIG_TCP: 'off', AQUIFER_SAME_NODE: 'direct' },
  };
  await withLab({ progress: say, env }, async (lab) => {
    await (sameNode ? makeNear(lab) : makeFar(lab, peer));
    await lab.waitReady();
    await lab.waitEnrolled();
    if (bigTcp) say(`packets of 256 KiB on ${enlargeAllPackets(lab.name)} interfaces, of all that is compared`);
    const rig = await (sameNode ? nearVariants(lab) : startVariants(lab, peer));
    try {
      const samples = new Map<Variant, Sample[]>(rig.variants.map((v) => [v, []]));
      for (let round = 1; round <= rounds; round++) {
        for (const variant of rig.variants) {
          say(`round ${round} of ${rounds}: ${variant.name}`);
          if (round === 1) await compileAhead(lab, variant);
          await warmUp(lab, variant);
          samples.get(variant)!.push(await measure(lab, variant, seconds));
        }
      }
      const rows = rowsOf(samples);
      printTable(
        [...samples.keys()].map((v) => v.name),
        rows,
      );
      await writeResults(sameNode ? 'l4-same-node' : 'l4', {
        engine,
        spin,
        bigTcp,
        rounds,
        seconds,
        rows,
        samples: Object.fromEntries([...samples].map(([v, s]) => [v.name, s])),
      });
    } finally {
      await rig.stop();
    }
  });
}

async function makeFar(lab: LabApi, peer: string | undefined): Promise<void> {
  await makePair(lab, namespaces.direct, 'none');
  await makePair(lab, namespaces.relay, 'none');
  await makePair(lab, namespaces.mesh, 'ambient');
  if (peer !== undefined) await makePair(lab, namespaces.peer, 'none');
}

async function makeNear(lab: LabApi): Promise<void> {
  await makeNearPair(lab, nearNamespaces.direct, 'none', 'none');
  await makeNearPair(lab, nearNamespaces.mesh, 'ambient', 'none');
  await makeNearPair(lab, nearNamespaces.past, 'ambient', 'direct');
}

/** Seconds after which V8 has compiled what a new connection takes: 20,000 of them, between which and the first their CPU falls by a third. */
const compiling = 12;

/** Proxies of a node run for weeks; the same for all, whatever they are written in. */
async function compileAhead(lab: LabApi, { pair, target }: Variant): Promise<void> {
  await wrk(lab, pair.client, target, { connections: 32, close: true }, compiling);
}

/** Of each port: the first connection of a pair is by the proxy in any case. */
async function warmUp(lab: LabApi, { pair, target }: Variant): Promise<void> {
  await iperf(lab, pair.client, target, 1, 1);
  await wrk(lab, pair.client, target, { connections: 4, close: false }, 1);
  await wrk(lab, pair.client, target, { connections: 4, close: true }, 1);
}

async function measure(lab: LabApi, variant: Variant, seconds: number): Promise<Sample> {
  const { pair, target } = variant;
  const proxies = await variant.proxies();
  const before = usageOf(proxies.flat());
  const single = await iperf(lab, pair.client, target, 1, seconds);
  const four = await iperf(lab, pair.client, target, 4, seconds);
  const after = usageOf(proxies.flat());
  const one = await wrk(lab, pair.client, target, { connections: 1, close: false }, seconds);
  const many = await wrk(lab, pair.client, target, { connections: 32, close: false }, seconds);
  const fresh8 = await wrk(lab, pair.client, target, { connections: 8, close: true }, seconds);
  const fresh32 = await wrk(lab, pair.client, target, { connections: 32, close: true }, seconds);
  const hasProxies = proxies.length > 0;
  return {
    mbits1: single.mbits,
    mbits4: four.mbits,
    one,
    many,
    newRps8: fresh8.rps,
    newRps32: fresh32.rps,
    rssMb: hasProxies ? Math.max(...proxies.map((pids) => usageOf(pids).rssMb)) : undefined,
    cpuPerGb: hasProxies ? (after.cpuSeconds - before.cpuSeconds) / (single.gigabytes + four.gigabytes) : undefined,
  };
}

function rowsOf(samples: ReadonlyMap<Variant, readonly Sample[]>): readonly Row[] {
  const row = (name: string, unit: string, digits: number, value: (s: Sample) => number | undefined): Row => ({
    name,
    unit,
    digits,
    values: [...samples.values()].map((rounds) => {
      const values = rounds.map(value).filter((v) => v !== undefined);
      return values.length === 0 ? undefined : median(values);
    }),
  });
  return [
    row('1 stream', 'Mbit/s', 0, (s) => s.mbits1),
    row('4 streams', 'Mbit/s', 0, (s) => s.mbits4),
    row('keep-alive, 1 connection, p50', 'us', 0, (s) => s.one.p50Us),
    row('keep-alive, 1 connection, p99', 'us', 0, (s) => s.one.p99Us),
    row('keep-alive, 1 connection', 'req/s', 0, (s) => s.one.rps),
    row('keep-alive, 32 connections, p50', 'us', 0, (s) => s.many.p50Us),
    row('keep-alive, 32 connections, p99', 'us', 0, (s) => s.many.p99Us),
    row('keep-alive, 32 connections', 'req/s', 0, (s) => s.many.rps),
    row('new connection each request, 8 at a time', 'req/s', 0, (s) => s.newRps8),
    row('new connection each request, 32 at a time', 'req/s', 0, (s) => s.newRps32),
    row('memory of one proxy (RSS)', 'MB', 0, (s) => s.rssMb),
    row('CPU of both proxies', 's/GB', 2, (s) => s.cpuPerGb),
  ];
}

function say(line: string): void {
  process.stderr.write(`  ${line}\n`);
}
