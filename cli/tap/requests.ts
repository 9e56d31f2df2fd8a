/** Requests as waypoints write them into their access log, ours as a stock Envoy. */
import { describeError } from '../../common/core/errors.ts';
import { type Pod, podKind } from '../../common/kube/kinds/core.ts';
import type { Cluster } from '../access/cluster.ts';
import { isRunning } from '../access/pods.ts';
import { tell } from '../print.ts';
import { reasonIn } from '../why/request.ts';
import { parseRequest } from './access-log.ts';
import type { RequestEvent } from './events.ts';
import type { Names } from './names.ts';

const gatewayLabel = 'gateway.networking.k8s.io/gateway-name';

export interface RequestWatch {
  readonly cluster: Cluster;
  /** undefined: of all. */
  readonly node: string | undefined;
  readonly names: () => Names;
  readonly onRequest: (event: RequestEvent) => void;
  readonly signal: AbortSignal;
}

/** Ms between two lists of pods: waypoints come seldom. */
const interval = 10_000;

/** Follows the logs of waypoints that run; those that come later once it is told to look again. */
export class RequestWatcher {
  readonly #options: RequestWatch;
  readonly #followed = new Set<string>();
  #looked = Number.NEGATIVE_INFINITY;

  constructor(options: RequestWatch) {
    this.#options = options;
  }

  async look(): Promise<void> {
    const { node, signal } = this.#options;
    if (performance.now() - this.#looked < interval) return;
    this.#looked = performance.now();
    for (const pod of await this.#pods()) {
      const { uid, labels = {} } = pod.metadata;
      if (labels[gatewayLabel] === undefined) continue;
      if (!isRunning(pod) || this.#followed.has(uid) || (node !== undefined && pod.spec.nodeName !== node)) continue;
      this.#followed.add(uid);
      void this.#follow(pod).catch((e: unknown) => {
        if (!signal.aborted) tell(`left out: requests at ${pod.metadata.name}: ${describeError(e)}`);
      });
    }
  }

  async #pods(): Promise<readonly Pod[]> {
    const { cluster, signal } = this.#options;
    try {
      return (await cluster.client.list<Pod>(podKind, signal)).items;
    } catch (e) {
      if (!signal.aborted) tell(`left out: requests: ${describeError(e)}`);
      this.#looked = Number.POSITIVE_INFINITY;
      return [];
    }
  }

  async #follow({ metadata: { name, namespace = 'default' }, spec }: Pod): Promise<void> {
    const { cluster, names, onRequest, signal } = this.#options;
    const query = { container: spec.containers[0]?.name ?? '', tailLines: '0' };
    const workload = `${name}.${namespace}`;
    for await (const line of linesOf(await cluster.client.followLogs({ namespace, name }, query, signal))) {
      const event = eventOf(line, workload, names());
      if (event !== undefined) onRequest(event);
    }
  }
}

/** undefined: the line is about no request. */
export function eventOf(line: string, workload: string, names: Names): RequestEvent | undefined {
  const logged = parseRequest(line);
  if (logged === undefined) return undefined;
  const { source, destination, flags, details, ...request } = logged;
  const reason = reasonIn(`${flags} ${details}`);
  return {
    event: 'request',
    workload,
    // A waypoint is reached by HBONE alone.
    source: names.end(source, { proved: true }),
    destination: names.end(destination, { proved: false }),
    ...request,
    ...(reason !== undefined && { reason }),
  };
}

async function* linesOf(parts: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const part of parts) {
    const lines = (rest + decoder.decode(part, { stream: true })).split('\n');
    rest = lines.pop()!;
    yield* lines;
  }
}
