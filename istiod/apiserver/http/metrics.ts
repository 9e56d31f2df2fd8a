/** What the server counts of itself, under kube-apiserver's names. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { RequestInfo } from './request-info.ts';

/** Called when a request is answered; a watch's at its end. `info` is undefined where the path could not be read. */
export type ObserveRequest = (info: RequestInfo | undefined, code: number) => void;

/** `objects`: how many are stored, by resource. */
export function registerMetrics(registry: Registry, objects: () => ReadonlyMap<string, number>): ObserveRequest {
  const registers = [registry];
  const requests = new Counter({
    name: 'apiserver_request_total',
    help: 'Answered requests, by verb, resource and HTTP code.',
    labelNames: ['verb', 'group', 'version', 'resource', 'subresource', 'code'],
    registers,
  });
  new Gauge({
    name: 'apiserver_storage_objects',
    help: 'Objects that are stored, by resource.',
    labelNames: ['resource'],
    registers,
    collect() {
      this.reset();
      for (const [resource, count] of objects()) this.set({ resource }, count);
    },
  });
  return (info, code) => {
    const verb = info?.kind === 'resource' ? info.verb.toUpperCase() : '';
    // What does not exist has no name here: clients could make up any number of them.
    const named = info?.kind === 'resource' && code !== 404 && code !== 403 && code !== 401;
    const { group, version, resource, subresource } = named ? info : nameless;
    requests.inc({ verb, group, version, resource, subresource, code });
  };
}

const nameless = { group: '', version: '', resource: '', subresource: '' };
