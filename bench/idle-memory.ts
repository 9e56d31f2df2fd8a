/** What a node proxy holds when nothing goes on, and for each connection that is open and silent. */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { LabApi, LabProcess } from '../lab/index.ts';
import { pssMb, tree } from './process-tree.ts';
import { makePair, namespaces, withLab } from './rig.ts';
import { printTable, type Row, writeResults } from './table.ts';
import { startVariants, type Variant } from './variants.ts';

/** Sees this checkout, for idle-holder.ts and its Node. */
const nodeImage = 'aquifer/client';
/** Connections of each of both steps. The first one's cost is left out: buffers and tunnels that all share come with it. */
const few = 1_000;
const more = 2_000;
/** ms until what was needed only while connections came is given back. nginx keeps a silent one for 75 s. */
const settling = 8_000;

/** MB, of one column. */
interface Sample {
  /** The proxy beside the client and the one beside the server, whichever has more. */
  readonly idle: number;
  /** The greatest process of them that carries connections. */
  readonly worker: number;
  readonly perThousand: number;
  readonly peak: number;
}

export async function benchIdleMemory({ peer, engine }: { peer: string | undefined; engine: string }): Promise<void> {
  await withLab({ progress: say, env: { ztunnel: { AQUIFER_ENGINE: engine } } }, async (lab) => {
    for (const namespace of [namespaces.direct, namespaces.relay, namespaces.mesh, namespaces.peer])
      await makePair(lab, namespace, namespace === namespaces.mesh ? 'ambient' : 'none', nodeImage);
    await lab.waitReady();
    await lab.waitEnrolled();
    const rig = await startVariants(lab, peer);
    try {
      const compared = rig.variants.filter((v) => v.name === 'ours' || v.name === 'peer');
      const samples: Sample[] = [];
      for (const variant of compared) samples.push(await measure(lab, variant));
      const row = (
        name: string,
        unit: string,
        digits: number,
        value: (s: Sample) => number,
        goal?: Row['goal'],
      ): Row => ({
        name,
        unit,
        digits,
        values: samples.map(value),
        ...(goal === undefined ? {} : { goal }),
      });
      const rows = [
        row('node proxy, idle (PSS)', 'MB', 0, (s) => s.idle, { atMost: 140 }),
        row('its greatest process, idle (PSS)', 'MB', 0, (s) => s.worker, { atMost: 80 }),
        row('1,000 idle connections (PSS), both proxies', 'MB', 1, (s) => s.perThousand, { ratioAtMost: 1 }),
        row(`node proxy with ${(few + more).toLocaleString('en-US')} connections (PSS)`, 'MB', 0, (s) => s.peak),
      ];
      printTable(
        compared.map((v) => v.name),
        rows,
      );
      await writeResults('l4-memory', { engine, rows, samples });
    } finally {
      await rig.stop();
    }
  });
}

async function measure(lab: LabApi, variant: Variant): Promise<Sample> {
  say(`${variant.name}: nothing goes on`);
  const proxies = await variant.proxies();
  const all = () => proxies.map((pids) => pssMb(pids.flatMap(tree)));
  await delay(settling);
  const idle = Math.max(...all());
  const worker = Math.max(
    ...proxies
      .flat()
      .flatMap(tree)
      .map((pid) => pssMb([pid])),
  );
  const holders: LabProcess[] = [];
  try {
    const held = async (count: number) => {
      say(`${variant.name}: ${count} connections more`);
      holders.push(await hold(lab, variant, count));
      await delay(settling);
      return all();
    };
    const first = await held(few);
    const second = await held(more);
    const grown = sum(second) - sum(first);
    return { idle, worker, perThousand: (grown / more) * 1_000, peak: Math.max(...second) };
  } finally {
    for (const holder of holders) holder.kill('SIGKILL');
  }
}

async function hold(lab: LabApi, { pair, target }: Variant, count: number): Promise<LabProcess> {
  const script = join(import.meta.dirname, 'idle-holder.ts');
  const holder = await lab.spawn(pair.client, [process.execPath, script, target.ip, `${target.httpPort}`, `${count}`]);
  holder.stderr.pipe(process.stderr);
  for await (const line of createInterface({ input: holder.stdout })) if (line === 'held') return holder;
  throw new Error(`of ${count} connections not all could be opened`);
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

function say(line: string): void {
  process.stderr.write(`  ${line}\n`);
}
