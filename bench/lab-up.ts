/** From `lab up` with two nodes and ten pods to all Ready, enrolled, and one call each way. */
import { type HostName, Lab, type LabApi } from '../lab/index.ts';
import { scrape } from '../test/harness/scrape.ts';
import { manifest } from './rig.ts';
import { writeResults } from './table.ts';

const name = 'benchup';
const namespace = 'ten';

export async function benchLabUp(): Promise<void> {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1_000;
  const lab = await Lab.up({ name, nodes: 2, manifests: [await manifest('ten-pods', { NAMESPACE: namespace })] });
  try {
    const up = seconds();
    await lab.waitReady();
    const ready = seconds();
    await lab.waitEnrolled();
    const enrolled = seconds();
    for (const from of ['one', 'two'] as const) {
      const [caller] = await lab.podsOf(`${namespace}/${from}`);
      const [called] = await lab.podsOf(`${namespace}/${from === 'one' ? 'two' : 'one'}`);
      if (caller === undefined || called === undefined)
        throw new Error('the pods of bench/manifests/ten-pods.yaml are missing');
      const url = `http://${called.status?.podIP}:8080/`;
      const result = await lab.exec({ namespace, name: caller.metadata.name }, ['curl', '-sS', '--max-time', '5', url]);
      if (result.code !== 0) throw new Error(`call from ${caller.metadata.name}: ${result.stderr.trim()}`);
    }
    const called = seconds();
    const result = { up, ready, enrolled, called };
    process.stdout.write('\nlab up with 2 nodes and 10 pods, seconds since the start\n');
    for (const [what, at] of Object.entries(result)) process.stdout.write(`  ${what.padEnd(10)} ${at.toFixed(2)}\n`);
    const enrolments = await Promise.all(lab.nodes.map((node) => enrolmentOf(lab, node)));
    process.stdout.write("\nenrolment of a pod, the agent's own parts\n");
    for (const e of enrolments) {
      const capture = `capture ${e.captureMs.toFixed(1)} ms (mean), ${e.within5ms} of ${e.pods} within 5 ms`;
      process.stdout.write(`  ${e.node}  ${capture}; announcing ${e.announceMs.toFixed(1)} ms (mean)\n`);
    }
    await writeResults('lab-up', { ...result, enrolments });
  } finally {
    await lab.down();
  }
}

async function enrolmentOf(lab: LabApi, node: HostName) {
  const text = await scrape(lab, node, 15_014);
  const value = (sample: string) => {
    const start = `aquifer_cni_enrolment_seconds_${sample} `;
    const line = text.split('\n').find((l) => l.startsWith(start));
    if (line === undefined) throw new Error(`the agent of ${node} has no metric ${start}`);
    return Number(line.slice(start.length));
  };
  const pods = value('count{part="capture"}');
  const meanMs = (part: string) => (pods === 0 ? 0 : (value(`sum{part="${part}"}`) / pods) * 1_000);
  const within5ms = value('bucket{le="0.005",part="capture"}');
  return { node, pods, captureMs: meanMs('capture'), announceMs: meanMs('announce'), within5ms };
}
