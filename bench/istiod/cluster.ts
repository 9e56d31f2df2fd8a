/** Objects of a cluster on an API server: pods behind services, ten a service, one namespace for ten services. */
import { type ClientHttp2Session, connect } from 'node:http2';
import type { Kubeconfig } from '../../istiod/apiserver/testing/client.ts';
import { ask } from '../api/bench.ts';
import { benchPod } from '../pod.ts';
import { Writer } from './writer.ts';

const writers = 16;
/** Writes under way at once under load. */
export const atOnce = 64;

export class Cluster {
  readonly pods: number;
  readonly services: number;
  readonly #config: Kubeconfig;
  readonly #sessions: readonly ClientHttp2Session[];
  #next = 0;

  constructor(config: Kubeconfig, pods: number, services: number) {
    this.#config = config;
    this.pods = pods;
    this.services = services;
    this.#sessions = Array.from({ length: writers }, () => connect(config.server, { ca: config.ca }));
  }

  ask(method: string, path: string, body?: object, type?: string): Promise<string> {
    const session = this.#sessions[this.#next++ % writers]!;
    return ask(session, this.#config, method, path, body, type);
  }

  async isThere(): Promise<boolean> {
    const text = await this.ask('GET', '/api/v1/namespaces');
    return text.includes('"bench-0"');
  }

  async makeServices(): Promise<void> {
    const namespaces = new Set(Array.from({ length: this.services }, (_, i) => namespaceOf(i)));
    await this.#each([...namespaces], (name) =>
      this.ask('POST', '/api/v1/namespaces', object('v1', 'Namespace', { name })),
    );
    await this.#each(
      Array.from({ length: this.services }, (_, i) => i),
      (i) =>
        this.ask('POST', `/api/v1/namespaces/${namespaceOf(i)}/services`, {
          ...object('v1', 'Service', { name: `svc-${i}` }),
          spec: { selector: { app: `svc-${i}` }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
        }),
    );
  }

  async makePods(): Promise<void> {
    await this.#each(
      Array.from({ length: this.pods }, (_, i) => i),
      async (i) => {
        const path = `/api/v1/namespaces/${this.namespaceOfPod(i)}/pods`;
        await this.ask('POST', path, pod(i, this.serviceOfPod(i)));
        await this.setAddress(i, addressOf(i));
      },
    );
  }

  /** Makes it ready, too. */
  async setAddress(i: number, ip: string): Promise<void> {
    const { path, patch } = this.#address(i, ip);
    await this.ask('PATCH', path, patch, 'application/merge-patch+json');
  }

  /** The same by a writer that costs less. */
  async writeAddress(writer: Writer, i: number, ip: string): Promise<void> {
    const { path, patch } = this.#address(i, ip);
    await writer.patch(path, patch);
  }

  serviceOfPod(i: number): number {
    return Math.floor((i * this.services) / this.pods);
  }

  namespaceOfPod(i: number): string {
    return namespaceOf(this.serviceOfPod(i));
  }

  openWriter(): Promise<Writer> {
    return Writer.open(this.#config, atOnce);
  }

  close(): void {
    for (const session of this.#sessions) session.destroy();
  }

  #address(i: number, ip: string) {
    const path = `/api/v1/namespaces/${this.namespaceOfPod(i)}/pods/pod-${i}/status`;
    const conditions = [{ type: 'Ready', status: 'True' }];
    return { path, patch: { status: { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions } } };
  }

  async #each<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
    let next = 0;
    await Promise.all(
      Array.from({ length: writers }, async () => {
        while (next < items.length) await work(items[next++]!);
      }),
    );
  }
}

export function namespaceOf(service: number): string {
  return `bench-${Math.floor(service / 10)}`;
}

export function addressOf(i: number): string {
  return `10.${100 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
}

export function object(apiVersion: string, kind: string, metadata: { name: string; namespace?: string }) {
  return { apiVersion, kind, metadata };
}

function pod(i: number, service: number): object {
  return benchPod({
    name: `pod-${i}`,
    app: `svc-${service}`,
    annotations: { 'ambient.istio.io/redirection': 'enabled' },
    placement: { nodeName: `node-${i % 100}` },
  });
}
