/**
 * How long the first connect of a pod is held that nobody knows yet: its process connects, then its address is written, as kubelet does. One pod
 * after another; from the write to the app's answer.
 */
import { randomBytes } from 'node:crypto';
import { HandPod, handAddress } from '../test/e2e/tools/hand-pod.ts';
import { serverPort, World } from '../test/e2e/world.ts';
import { percentile } from './statistics.ts';
import { writeResults } from './table.ts';

/** ms, of issue 4's numbers. */
const goal = 50;

export async function benchHold(pods: number): Promise<void> {
  const world = await World.up('bhold', 'ebpf');
  try {
    const { v4 } = await world.ips('server');
    const held: number[] = [];
    for (let number = 0; number < pods; number++) {
      const address = handAddress(number);
      const pod = await HandPod.start({ lab: world.lab, name: `held-${number}`, account: 'client', address });
      const call = pod.call(v4, serverPort, randomBytes(24).toString('base64url'));
      await pod.connecting();
      const known = await pod.publish();
      const { bytes, answered, error } = await call;
      if (bytes <= 0) throw new Error(`the call of held-${number} was not answered: errno ${error}`);
      held.push(answered - known);
      await pod.stop();
    }
    const [p50, p99, max] = [percentile(held, 50), percentile(held, 99), Math.max(...held)];
    process.stdout.write(
      `\nfirst connect of an unknown pod, from its address's write to the answer: p50 ${p50} ms, p99 ${p99} ms (goal ${goal}), max ${max} ms (n=${pods})\n`,
    );
    await writeResults('hold', { pods, held });
  } finally {
    await world.down();
  }
}
