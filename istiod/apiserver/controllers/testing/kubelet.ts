/** Plays the kubelets of all nodes: pods that are bound run and are ready, those that are deleted go. */
import type { Json, TestClient } from '../../testing/client.ts';

export interface FakeKubelet {
  stop(): Promise<void>;
}

/** What becomes of a pod; default: `run`. */
export type Fate = 'run' | 'fail-to-start' | 'succeed' | 'fail';

/** Makes the nodes and keeps them alive. */
export async function startKubelet(
  client: TestClient,
  nodes: readonly string[],
  fateOf: (pod: Json) => Fate = () => 'run',
): Promise<FakeKubelet> {
  let stopped = false;
  let address = 1;
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
  for (const name of nodes) {
    const labels = { 'kubernetes.io/hostname': name };
    await client.ask('/api/v1/nodes', { method: 'POST', body: { metadata: { name, labels } } });
    await client.ask(leases, { method: 'POST', body: { metadata: { name }, spec: { holderIdentity: name } } });
  }
  const heartbeat = setInterval(() => {
    for (const name of nodes) {
      const body = { spec: { renewTime: `${new Date().toISOString().slice(0, -1)}000Z` } };
      const type = 'application/merge-patch+json';
      client.ask(`${leases}/${name}`, { method: 'PATCH', type, body }).catch(() => undefined);
    }
  }, 10_000);
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
      clearInterval(heartbeat);
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
