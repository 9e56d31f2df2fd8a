/** Gives Services their addresses and node ports when they are written. */
import type { Service, ServiceSpec } from '../../../../common/kube/kinds/core.ts';
import type { AdmissionPlugin } from '../../admission/admission.ts';
import type { ApiObject } from '../../objects.ts';
import { ApiError, invalid } from '../../status.ts';
import type { AddressRange, Family } from '../runtime/address-range.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { keyOf } from '../runtime/collection.ts';
import { Pool } from '../runtime/pool.ts';
import { PlanError, planAddresses, planNodePorts } from './plan.ts';

export const nodePorts = { first: 30_000, last: 32_767, dynamicFrom: 30_086 };

interface FamilyPool {
  readonly range: AddressRange;
  readonly pool: Pool;
}

interface Request {
  readonly service: ApiObject;
  readonly holder: string;
  readonly dryRun: boolean;
}

/** `ranges`: one a family, the usual one first. */
export function serviceAllocation(cluster: Cluster, ranges: readonly AddressRange[]): AdmissionPlugin {
  const families = new Map<Family, FamilyPool>(ranges.map((range) => [range.family, { range, pool: poolOf(range) }]));
  const served = [...families.keys()];
  const ports = new Pool(nodePorts);
  const now = () => cluster.clock.wall();
  let generated = 0;

  cluster.services.onChange((current, previous) => {
    const { namespace = '', name } = (current ?? previous)!.metadata;
    const holder = keyOf(namespace, name);
    if (previous !== undefined) each(previous, (pool, n) => pool.release(n, holder));
    if (current !== undefined) each(current, (pool, n) => pool.hold(n, holder));
  });

  function each({ spec }: Service, use: (pool: Pool, n: number) => void): void {
    for (const address of spec.clusterIPs ?? []) {
      for (const { range, pool } of families.values()) {
        const offset = range.offsetOf(address);
        if (offset !== undefined) use(pool, offset);
      }
    }
    for (const { nodePort } of spec.ports ?? []) if (nodePort !== undefined && nodePort !== 0) use(ports, nodePort);
  }

  function giveAddresses(spec: Record<string, unknown>, old: ServiceSpec | undefined, request: Request): void {
    const plan = planAddresses(spec, old, served);
    if (plan.kind === 'none') {
      for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy']) delete spec[field];
      return;
    }
    spec['ipFamilyPolicy'] = plan.policy;
    if (plan.kind === 'headless') {
      spec['clusterIP'] = 'None';
      spec['clusterIPs'] = ['None'];
      spec['ipFamilies'] = [...plan.families];
      return;
    }
    const addresses = plan.addresses.map(({ family, address }, i) => findAddress(family, address, i, request));
    spec['clusterIP'] = addresses[0];
    spec['clusterIPs'] = addresses;
    spec['ipFamilies'] = plan.addresses.map((a) => a.family);
  }

  function findAddress(family: Family, asked: string | undefined, i: number, { holder, dryRun }: Request): string {
    const { range, pool } = families.get(family)!;
    if (asked !== undefined) {
      const offset = range.offsetOf(asked);
      const fail = (why: string) => new PlanError(`clusterIPs[${i}]`, `failed to allocate IP ${asked}: ${why}`);
      if (offset === undefined || !pool.has(offset)) throw fail('the provided IP is not in the valid range');
      if (!pool.claim(offset, holder, now())) throw fail('provided IP is already allocated');
      return range.addressOf(offset);
    }
    const offset = dryRun ? pool.choose(holder, now()) : pool.take(holder, now());
    if (offset === undefined) throw full(`all ${family} addresses of services are in use`);
    return range.addressOf(offset);
  }

  function giveNodePorts(spec: Record<string, unknown>, old: ServiceSpec | undefined, request: Request): void {
    const plan = planNodePorts(spec, old);
    const list = (spec['ports'] ?? []) as Record<string, unknown>[];
    // The numbers that were asked for are not found for others.
    const used = new Set(plan.filter((p) => typeof p === 'number'));
    plan.forEach((wanted, i) => {
      const port = list[i]!;
      if (wanted === 'none') {
        delete port['nodePort'];
        return;
      }
      if (wanted === 'any') {
        const { holder, dryRun } = request;
        const found = dryRun ? ports.choose(holder, now(), used) : ports.take(holder, now(), used);
        if (found === undefined) throw full('all node ports are in use');
        used.add(found);
        port['nodePort'] = found;
        return;
      }
      const field = `ports[${i}].nodePort`;
      if (!ports.has(wanted))
        throw new PlanError(field, `provided port is not in the valid range ${nodePorts.first}-${nodePorts.last}`);
      if (!ports.claim(wanted, request.holder, now())) throw new PlanError(field, 'provided port is already allocated');
      port['nodePort'] = wanted;
    });
  }

  return {
    name: 'ServiceAllocation',
    mutate({ operation, resource, subresource, namespace, object, old, dryRun }) {
      if (resource.group !== '' || resource.resource !== 'services' || subresource !== '') return;
      if (operation !== 'CREATE' && operation !== 'UPDATE') return;
      const service = object!;
      const spec = service['spec'] as Record<string, unknown> | undefined;
      if (spec === undefined) return;
      // No generated name is known yet: nobody else may have what is reserved for it.
      const name = (service.metadata.name ?? '') === '' ? `generated ${generated++}` : service.metadata.name!;
      const request = { service, holder: keyOf(namespace, name), dryRun };
      const before = old?.['spec'] as ServiceSpec | undefined;
      try {
        giveAddresses(spec, before, request);
        giveNodePorts(spec, before, request);
      } catch (e) {
        if (e instanceof PlanError) throw invalid('', 'Service', service.metadata.name ?? '', [e.cause]);
        throw e;
      }
    },
  };
}

const full = (why: string): ApiError => new ApiError(500, 'InternalError', `Internal error occurred: ${why}`);

/** Neither the first number, which names the range, nor the last of IPv4, which is for broadcasts. */
function poolOf({ family, size }: AddressRange): Pool {
  const band = Math.min(Math.max(16, Math.floor(size / 16)), 256);
  return new Pool({ first: 1, last: family === 'IPv4' ? size - 2 : size - 1, dynamicFrom: size > 2 * band ? band : 1 });
}
