/** Gives Services their addresses and EndpointSlices, and brings both to the nodes' nftables and to the cluster DNS. */
import { isDeepStrictEqual } from 'node:util';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { type Service, serviceKind } from '../../common/kube/kinds/core.ts';
import { type EndpointSlice, endpointSliceKind } from '../../common/kube/kinds/discovery.ts';
import type { NewObject } from '../../common/kube/types.ts';
import { NumberPool, serviceAddress, serviceHost } from '../addresses.ts';
import { endpointSlices, isServing, managedByLabel, manager } from '../controllers/endpoints.ts';
import type { LabNode, Runtime } from '../daemon/runtime.ts';
import { buildZone, type Zone } from '../dns/zone.ts';
import { checkObject } from '../manifest/check.ts';
import { formatFieldProblems } from '../manifest/problems.ts';
import { netnsPath } from '../names.ts';
import { run } from '../system/run.ts';
import { clusterIps, serviceBackends } from './backends.ts';
import { renderServices } from './nft.ts';

export class ServiceController {
  readonly #runtime: Runtime;
  readonly #nodes: readonly LabNode[];
  readonly #onZone: (zone: Zone) => void;
  /** Which number of the range each Service has, by uid. */
  readonly #numbers = new Map<string, number>();
  readonly #pool = new NumberPool(1, 65_534);
  readonly #rulesets = new Map<string, string>();
  readonly #reported = new Set<string>();
  #zone: Zone = {};

  constructor(runtime: Runtime, nodes: readonly LabNode[], onZone: (zone: Zone) => void) {
    this.#runtime = runtime;
    this.#nodes = nodes;
    this.#onZone = onZone;
  }

  async reconcile(): Promise<void> {
    const { cluster } = this.#runtime;
    this.#releaseGone();
    // Given addresses first, so that none of them is handed out to another.
    for (const service of cluster.services.objects.values()) this.#claim(service);
    for (const service of cluster.services.objects.values()) await this.#allocate(service);
    await this.#writeSlices();
    await this.apply();
  }

  /** Only the nodes and the DNS, from what the collections show now. */
  async apply(): Promise<void> {
    const { cluster } = this.#runtime;
    const services = [...cluster.services.objects.values()];
    const slices = [...cluster.endpointSlices.objects.values()];
    const zone = buildZone(services, slices);
    if (!isDeepStrictEqual(zone, this.#zone)) {
      this.#zone = zone;
      this.#onZone(zone);
    }
    const backends = serviceBackends(services, slices);
    const pods = [...cluster.pods.objects.values()].filter((p) => isServing(p) && !p.spec.hostNetwork);
    const hosts = this.#nodes.map((n) => {
      const local = pods.filter((p) => p.spec.nodeName === n.name);
      const ips = local.flatMap((p) => p.status?.podIPs?.map((x) => x.ip) ?? []).sort();
      return { ...n, ruleset: renderServices(backends, n.name, ips) };
    });
    await Promise.all(
      hosts.map(async ({ name, netns, ruleset }) => {
        if (this.#rulesets.get(name) === ruleset) return;
        await run(['nsenter', `--net=${netnsPath(netns)}`, 'nft', '-f', '-'], ruleset);
        this.#rulesets.set(name, ruleset);
      }),
    );
  }

  #releaseGone(): void {
    const alive = new Set([...this.#runtime.cluster.services.objects.values()].map((s) => s.metadata.uid));
    for (const [uid, number] of [...this.#numbers]) {
      if (alive.has(uid)) continue;
      this.#numbers.delete(uid);
      this.#pool.release(number);
    }
  }

  #claim(service: Service): void {
    const { uid, namespace, name } = service.metadata;
    if (this.#numbers.has(uid)) return;
    for (const ip of clusterIps(service)) {
      const number = serviceHost(ip);
      if (number === undefined) continue;
      if (this.#numbers.get(uid) === number) continue;
      if (this.#pool.reserve(number)) this.#numbers.set(uid, number);
      else this.#report(`Service ${namespace}/${name}: spec.clusterIP: ${ip} belongs to another Service`);
    }
  }

  async #allocate(service: Service): Promise<void> {
    const { spec, metadata } = service;
    if (spec.type === 'ExternalName' || spec.clusterIP === 'None') return;
    const problems = checkObject(service);
    if (problems.length > 0) {
      return this.#report(formatFieldProblems(`Service ${metadata.namespace}/${metadata.name}`, problems));
    }
    const families = spec.ipFamilyPolicy === 'SingleStack' ? [spec.ipFamilies?.[0] ?? 'IPv4'] : bothFamilies(spec);
    if (clusterIps(service).length >= families.length) return;
    let number = this.#numbers.get(metadata.uid);
    if (number === undefined) {
      number = this.#pool.take();
      this.#numbers.set(metadata.uid, number);
    }
    const address = serviceAddress(number);
    const clusterIPs = families.map((f) => (f === 'IPv6' ? address.v6 : address.v4));
    const ipFamilyPolicy = spec.ipFamilyPolicy ?? 'PreferDualStack';
    const patch = { spec: { clusterIP: clusterIPs[0], clusterIPs, ipFamilies: families, ipFamilyPolicy } };
    const key = { namespace: metadata.namespace ?? 'default', name: metadata.name };
    await this.#tolerant(() => this.#runtime.cluster.source.patch(serviceKind, key, patch));
  }

  async #writeSlices(): Promise<void> {
    const { cluster } = this.#runtime;
    const pods = [...cluster.pods.objects.values()];
    const wanted = new Map<string, NewObject>();
    for (const service of cluster.services.objects.values()) {
      for (const slice of endpointSlices(service, pods)) {
        wanted.set(`${slice.metadata.namespace}/${slice.metadata.name}`, slice);
      }
    }
    const ours = [...cluster.endpointSlices.objects.values()].filter(
      (s) => s.metadata.labels?.[managedByLabel] === manager,
    );
    for (const slice of ours) {
      const key = { namespace: slice.metadata.namespace ?? 'default', name: slice.metadata.name };
      const next = wanted.get(`${key.namespace}/${key.name}`);
      wanted.delete(`${key.namespace}/${key.name}`);
      if (next === undefined) await this.#tolerant(() => cluster.source.delete(endpointSliceKind, key));
      else if (!sameSlice(slice, next)) {
        const { endpoints, ports } = next;
        await this.#tolerant(() => cluster.source.patch(endpointSliceKind, key, { endpoints, ports }));
      }
    }
    for (const slice of wanted.values()) {
      await this.#tolerant(() => cluster.source.create(endpointSliceKind, slice));
    }
  }

  /** What changed under our hands comes back as another change. */
  async #tolerant(write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (e) {
      if (!(e instanceof MeshError) || (e.code !== 'NOT_FOUND' && e.code !== 'CONFLICT')) throw e;
      this.#runtime.log.debug('an object changed meanwhile', { error: describeError(e) });
    }
  }

  #report(problem: string): void {
    if (this.#reported.has(problem)) return;
    this.#reported.add(problem);
    this.#runtime.log.warn(problem);
  }
}

function bothFamilies(spec: Service['spec']): readonly ('IPv4' | 'IPv6')[] {
  return spec.ipFamilies?.[0] === 'IPv6' ? ['IPv6', 'IPv4'] : ['IPv4', 'IPv6'];
}

function sameSlice(now: EndpointSlice, next: NewObject): boolean {
  return isDeepStrictEqual(
    { endpoints: now.endpoints ?? [], ports: now.ports ?? [] },
    { endpoints: next['endpoints'], ports: next['ports'] },
  );
}
