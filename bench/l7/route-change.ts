/** How long a change of a route takes to be live at a waypoint under load, and whether it loses requests. */
import { setTimeout as delay } from 'node:timers/promises';
import type { LabApi, PodRef } from '../../lab/index.ts';
import { startPace } from './loads.ts';

/** ms of load before the first change. */
const warmUp = 1_000;
/** ms between changes, so that none waits behind the one before. */
const pause = 150;

export interface RouteChanges {
  /** ms from the write to the API server to the first answer by the new route. */
  readonly latencies: readonly number[];
  readonly sent: number;
  readonly lost: number;
}

export async function changeRoutes(
  lab: LabApi,
  namespace: string,
  client: PodRef,
  ip: string,
  load: { readonly rate: number; readonly changes: number },
): Promise<RouteChanges> {
  const pace = await startPace(lab, client, ip, load.rate, 0);
  // Under load, not while its connections are made: of 40 changes the first took 109 ms and the others 72 at most.
  await pace.answering;
  await delay(warmUp);
  const latencies: number[] = [];
  for (let i = 1; i <= load.changes; i++) {
    const value = `change-${i}`;
    const answered = pace.answeredBy(value);
    const written = process.hrtime.bigint();
    await lab.kube.apply(route(namespace, value), { fieldManager: 'bench', force: true });
    latencies.push(Number((await answered) - written) / 1e6);
    await delay(pause);
  }
  const { sent, lost } = await pace.stop();
  return { latencies, sent, lost };
}

/** As bench/manifests/waypoint.yaml's, and each rule sets a header of answers. */
function route(namespace: string, value: string) {
  const filters = [{ type: 'ResponseHeaderModifier', responseHeaderModifier: { set: [{ name: 'x-route', value }] } }];
  const backendRefs = [{ name: 'web', port: 80 }];
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { namespace, name: 'web' },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'web', port: 80 }],
      rules: [
        { matches: [{ path: { type: 'PathPrefix', value: '/api' } }], filters, backendRefs },
        { matches: [{ headers: [{ name: 'x-version', value: 'v2' }] }], filters, backendRefs },
        { filters, backendRefs },
      ],
    },
  };
}
