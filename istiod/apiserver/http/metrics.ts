/** What the server counts of itself, under kube-apiserver's names. */
import type { RequestInfo } from './request-info.ts';

export interface MetricsText {
  readonly contentType: string;
  readonly text: string;
}

const labelNames = ['verb', 'group', 'version', 'resource', 'subresource', 'code'] as const;

interface Count {
  readonly labels: Readonly<Record<(typeof labelNames)[number], string>>;
  value: number;
}

const nameless = { group: '', version: '', resource: '', subresource: '' };

export class ServerMetrics {
  readonly #objects: () => ReadonlyMap<string, number>;
  readonly #requests = new Map<string, Count>();

  /** `objects`: how many are stored, by resource. */
  constructor(objects: () => ReadonlyMap<string, number>) {
    this.#objects = objects;
  }

  /** A request was answered; a watch is at its end. `info` is undefined where the path could not be read. */
  observe(info: RequestInfo | undefined, code: number): void {
    const verb = info?.kind === 'resource' ? info.verb : '';
    // What does not exist has no name here: clients could make up any number of them.
    const named = info?.kind === 'resource' && code !== 404 && code !== 403 && code !== 401;
    const { group, version, resource, subresource } = named ? info : nameless;
    const id = `${verb} ${group} ${version} ${resource} ${subresource} ${code}`;
    let count = this.#requests.get(id);
    if (count === undefined) {
      const labels = { verb: verb.toUpperCase(), group, version, resource, subresource, code: String(code) };
      count = { labels, value: 0 };
      this.#requests.set(id, count);
    }
    count.value++;
  }

  /** The library is loaded by who asks: with all that it needs it is 80 ms and 18 MB of a start, and most servers are never asked. */
  async text(): Promise<MetricsText> {
    const { Counter, Gauge, Registry } = await import('prom-client');
    const registry = new Registry();
    const registers = [registry];
    const requests = new Counter({
      name: 'apiserver_request_total',
      help: 'Answered requests, by verb, resource and HTTP code.',
      labelNames,
      registers,
    });
    for (const { labels, value } of this.#requests.values()) requests.inc(labels, value);
    const objects = new Gauge({
      name: 'apiserver_storage_objects',
      help: 'Objects that are stored, by resource.',
      labelNames: ['resource'],
      registers,
    });
    for (const [resource, count] of this.#objects()) objects.set({ resource }, count);
    return { contentType: registry.contentType, text: await registry.metrics() };
  }
}
