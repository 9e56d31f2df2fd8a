/** A copy of a request for a cluster of its own, whose answer nobody waits for. */
import type { RoutingPriority } from '../../cluster/types.ts';
import type { Environment } from '../../runtime/environment.ts';
import { type ClusterStats, clusterStats } from '../../telemetry/http-stats.ts';
import type { HeaderList, RequestHead } from '../message.ts';
import { Attempt, type AttemptEvents } from './attempt.ts';

/** Bytes that wait for a connection, or for one that is slow; beyond, the copy is given up. */
const mostWaiting = 1_048_576;

export class Shadow {
  #attempt: Attempt | undefined;
  #waiting: Buffer[] = [];
  #bytes = 0;
  #ended = false;
  #trailers: HeaderList | undefined;
  #gone = false;
  #stats: ClusterStats | undefined;

  constructor(env: Environment, cluster: string, head: RequestHead, priority: RoutingPriority, bodyless: boolean) {
    this.#ended = bodyless;
    const upstream = env.clusters.get(cluster);
    if (upstream) this.#stats = clusterStats(env.stats, upstream.cluster.statName);
    const picked = upstream?.pick({ dice: env.dice });
    if (!upstream || picked?.kind !== 'host') {
      if (this.#stats) this.#stats.noHost.value++;
      this.#answered(503);
      this.#gone = true;
      return;
    }
    upstream.acquire(
      picked.host,
      // No client speaks for it: what a cluster takes from clients is HTTP/1.1.
      { priority, downstream: 'http1' },
      {
        ready: (lease) => {
          if (this.#gone) {
            lease.release(true);
            return;
          }
          this.#stats!.total.value++;
          const attempt = new Attempt(lease, head, bodyless, this.#events);
          for (const chunk of this.#waiting) attempt.write(chunk);
          this.#waiting = [];
          this.#attempt = attempt;
          if (this.#ended && !bodyless) attempt.finish(this.#trailers);
        },
        failed: () => {
          this.#answered(503);
          this.cancel();
        },
      },
    );
  }

  /** Nobody reads the answer. */
  readonly #events: AttemptEvents = {
    informational: () => undefined,
    response: ({ status }) => this.#answered(status),
    data: () => undefined,
    end: () => undefined,
    broke: () => {
      if (!this.#isAnswered) this.#answered(503);
    },
    drained: () => undefined,
  };
  #isAnswered = false;

  /** Copies count as requests of the proxy's own. */
  #answered(status: number): void {
    this.#isAnswered = true;
    this.#stats?.responded(status, true);
  }

  data(chunk: Buffer): void {
    if (this.#gone) return;
    if (this.#attempt) {
      this.#bytes = this.#attempt.write(chunk) ? 0 : this.#bytes + chunk.length;
    } else {
      this.#waiting.push(chunk);
      this.#bytes += chunk.length;
    }
    if (this.#bytes > mostWaiting) this.cancel();
  }

  end(trailers: HeaderList | undefined): void {
    if (this.#gone || this.#ended) return;
    this.#ended = true;
    this.#trailers = trailers;
    this.#attempt?.finish(trailers);
  }

  cancel(): void {
    this.#gone = true;
    this.#waiting = [];
    this.#attempt?.reset();
  }
}

/** `web:80` becomes `web-shadow:80`. */
export function shadowAuthority(authority: string): string {
  return authority.replace(/(?=:\d+$)|$/, '-shadow');
}
