/** Plays the kubelets of all nodes: pods that are bound run and are ready, those that are deleted go. */
import type { Json, TestClient } from '../../testing/client.ts';

export interface FakeKubelet {
  stop(): Promise<void>;
}

/** What becomes of a pod; default: `run`. */
export type Fate = 'run' | 'fail-to-start' | 'succeed' | 'fail';

export function startKubelet(client: TestClient, fateOf: (pod: Json) => Fate = () => 'run'): FakeKubelet {
  let stopped = false;
  let address = 1;
  const events = client.watch('/api/v1/pods?watch=1');
  const running = (async () => {
    for await (const { type, object: pod } of events) {
      if (stopped) return;
      if (type !== 'ADDED' && type !== 'MODIFIED') continue;
      const path = `/api/v1/namespaces/${pod.metadata.namespace}/pods/${pod.metadata.name}`;
      if (pod.metadata.deletionTimestamp !== undefined) {
        await client.ask(path, { method: 'DELETE', body: { gracePeriodSeconds: 0 } });
        continue;
      }
      if (pod.spec.nodeName === undefined || pod.status.startTime !== undefined) continue;
      const status = statusOf(fateOf(pod), address++);
      await client.ask(`${path}/status`, { method: 'PATCH', type: 'application/merge-patch+json', body: { status } });
    }
  })().catch((e: unknown) => {
    if (!stopped) throw e;
  });
  return {
    async stop() {
      stopped = true;
      client.close();
      await running;
    },
  };
}

function statusOf(fate: Fate, n: number): object {
  const at = '2026-01-01T00:00:00Z';
  const ips = [`10.244.${n >> 8}.${n & 255}`, `fd00:10:244::${n.toString(16)}`];
  const base = { startTime: at, podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) };
  const ready = (status: string) => [{ type: 'Ready', status, lastTransitionTime: at }];
  switch (fate) {
    case 'run':
      return { ...base, phase: 'Running', conditions: ready('True') };
    case 'fail-to-start':
      return { ...base, phase: 'Running', conditions: ready('False') };
    case 'succeed':
      return { ...base, phase: 'Succeeded', conditions: ready('False') };
    case 'fail':
      return { ...base, phase: 'Failed', conditions: ready('False') };
  }
}
