/** The workloads of the mesh, each with what applies to it: of Pods, WorkloadEntries, ServiceEntries and EndpointSlices. */
import type { EndpointSlice } from '../../../common/kube/kinds/discovery.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import type { KubeObject } from '../../../common/kube/types.ts';
import type { Workload } from '../../../common/mesh/types.ts';
import { waypointAccepted, waypointBound } from '../condition.ts';
import type { Derived } from '../graph/graph.ts';
import type { Labelled, Place } from '../graph/labelled.ts';
import type { Table } from '../graph/table.ts';
import { farEndpoint, networkLabel, podNetwork, referenceOf } from '../network.ts';
import { type Resource, resourceOfAddress } from '../resource.ts';
import { entryEndpoints } from '../service-entry.ts';
import type { ServiceInfo } from '../service-info.ts';
import { networkOfAudience } from '../settings.ts';
import {
  type Binding,
  bindWorkload,
  gatewayNameLabel,
  instanceOf,
  namedWaypoints,
  namespaceDiffers,
} from '../waypoint.ts';
import {
  isPodEndpoint,
  nodeDiffers,
  podWorkload,
  serviceNameLabel,
  sliceWorkloads,
  type WorkloadInputs,
} from '../workload.ts';
import {
  acceptedByWaypoints,
  entryWorkload,
  inlineWorkload,
  labelsOfEntry,
  networkOfEntry,
} from '../workload-entry.ts';
import { type Context, type Output, placeOf } from './context.ts';
import type { Networks } from './networks.ts';
import type { Policies } from './policies.ts';
import type { Services } from './services.ts';
import { type Waypoints, waypointDiffers } from './waypoints.ts';

export interface Parts {
  readonly waypoints: Waypoints;
  readonly services: Services;
  readonly policies: Policies;
  readonly networks: Networks;
}

/** Each by the keys of its kind. */
export function deriveWorkloads(c: Context, parts: Parts): readonly Derived<Output>[] {
  return [derivePods(c, parts), deriveEntries(c, parts), deriveEndpoints(c, parts), deriveSlices(c, parts)];
}

function derivePods(c: Context, parts: Parts): Derived<Output> {
  const { graph, inputs, settings } = c;
  const { services } = parts;
  const byNode = inputs.pods.index((p) => [p.spec.nodeName ?? '']);
  const byNetwork = inputs.pods.index((p) => some(p.metadata.labels?.[networkLabel]));
  const slicesByPod = inputs.slices.index(podsOf);
  const slicesByService = inputs.slices.index((s) => some(serviceNameOf(s)));
  const derived = graph
    .derive('Pod', compute)
    .after(inputs.pods, (_, key) => [key])
    .after(inputs.nodes, (_, name) => byNode.keys(name), nodeDiffers)
    .after(inputs.slices, (s) => (servicesOfSlice(s, services).some(hasSelector) ? [] : podsOf(s)))
    .after(
      services.table,
      (s) => {
        if (hasSelector(s)) return c.pods.matching(namespaceOf(s.object), s.selector);
        return s.kind === 'Service'
          ? slicesByService.values(`${namespaceOf(s.object)}/${s.service.name}`).flatMap(podsOf)
          : [];
      },
      viewDiffers,
    );
  follow(derived, inputs.pods, c.pods, c, parts);
  parts.networks.watch(derived, (network) => byNetwork.keys(network));

  function compute(key: string): Output | undefined {
    const pod = inputs.pods.get(key);
    if (!pod) return undefined;
    const place = placeOf(pod);
    const selecting = services.selecting(place);
    // What the slices of a Service with a selector say of pods, the selector says.
    const slices = slicesByPod
      .values(key)
      .flatMap((slice) =>
        servicesOfSlice(slice, services).flatMap((service) => (hasSelector(service) ? [] : [{ slice, service }])),
      );
    const around = surroundings(place, place, podNetwork(pod, settings()), selecting, c, parts);
    const node = inputs.nodes.get(pod.spec.nodeName ?? '');
    const workload = podWorkload(pod, { ...around.inputs, node, slices }, settings());
    return outputOf(
      workload && [workload],
      pod,
      [node, ...slices.flatMap((s) => [s.slice, s.service.object]), ...around.from],
      c,
      () => ({ labels: place.labels, waypoint: around.binding.waypointId }),
    );
  }
  return derived;
}

function deriveEntries(c: Context, parts: Parts): Derived<Output> {
  const { graph, inputs, settings } = c;
  const { services } = parts;
  const byNetwork = inputs.workloadEntries.index((e) => some(e.spec.network));
  const derived = graph
    .derive('WorkloadEntry', compute)
    .after(inputs.workloadEntries, (_, key) => [key])
    .after(
      services.table,
      (s) => (hasSelector(s) ? c.workloadEntries.matching(namespaceOf(s.object), s.selector) : []),
      viewDiffers,
    );
  follow(derived, inputs.workloadEntries, c.workloadEntries, c, parts);
  parts.networks.watch(derived, (network) => byNetwork.keys(network));

  function compute(key: string): Output | undefined {
    const entry = inputs.workloadEntries.get(key);
    if (!entry) return undefined;
    const place = { namespace: namespaceOf(entry), labels: labelsOfEntry(entry) };
    const network = networkOfEntry(entry.spec, settings());
    const behind = services.selecting(place);
    const around = surroundings(place, place, network, behind, c, parts);
    const workload = entryWorkload(entry, around.inputs, settings());
    const output = outputOf(workload && [workload], entry, around.from, c, () => ({
      labels: place.labels,
      waypoint: around.binding.waypointId,
    })) ?? {
      resources: [],
      far: [],
    };
    const conditions = new Map([
      [waypointBound, around.binding.condition],
      [waypointAccepted, acceptedByWaypoints(entry, behind)],
    ]);
    return { ...output, conditions };
  }
  return derived;
}

/** The endpoints of ServiceEntries. */
function deriveEndpoints(c: Context, parts: Parts): Derived<Output> {
  const { graph, inputs, settings } = c;
  const { services, waypoints } = parts;
  const byNetwork = inputs.serviceEntries.index((e) => networksOf(e.spec.endpoints ?? []));
  // Those that endpoints name, and are instances of.
  const byWaypoint = inputs.serviceEntries.index((e) => [
    ...new Set(
      (e.spec.endpoints ?? []).flatMap(({ labels }) => [
        ...namedWaypoints(labels, namespaceOf(e)),
        `${namespaceOf(e)}/${labels?.[gatewayNameLabel]}`,
      ]),
    ),
  ]);
  const derived = graph
    .derive('ServiceEntry', compute)
    .after(inputs.serviceEntries, (_, key) => [key])
    .after(
      services.table,
      (s) => (s.kind === 'ServiceEntry' ? [`${namespaceOf(s.object)}/${s.object.metadata.name}`] : []),
      viewDiffers,
    )
    .after(waypoints.table, (w) => byWaypoint.keys(w.id), waypointDiffers);
  follow(derived, inputs.serviceEntries, c.serviceEntries, c, parts);
  parts.networks.watch(derived, (network) => byNetwork.keys(network));

  function compute(key: string): Output | undefined {
    const entry = inputs.serviceEntries.get(key);
    if (!entry) return undefined;
    const place = placeOf(entry);
    const from: (KubeObject | undefined)[] = [];
    const waypointIds = new Map<string, string>();
    const workloads = entryEndpoints(entry, services.ofObject('ServiceEntry', key)).map(
      ({ spec, services: behind, isImplied }) => {
        const endpoint = { namespace: place.namespace, labels: isImplied ? {} : (spec.labels ?? {}) };
        const around = surroundings(
          place,
          isImplied ? undefined : endpoint,
          networkOfEntry(spec, settings()),
          behind,
          c,
          parts,
        );
        from.push(...around.from);
        const workload = inlineWorkload(spec, entry, around.inputs, settings());
        if (around.binding.waypointId !== undefined) waypointIds.set(workload.uid, around.binding.waypointId);
        return workload;
      },
    );
    const labels = new Map((entry.spec.endpoints ?? []).map((e) => [e.address ?? '', e.labels]));
    return outputOf(workloads, entry, from, c, (w) => ({
      labels: labels.get(w.addresses[0] ?? w.hostname),
      waypoint: waypointIds.get(w.uid),
    }));
  }
  return derived;
}

/** Endpoints that are no pods. */
function deriveSlices(c: Context, { services }: Parts): Derived<Output> {
  const { graph, inputs, settings } = c;
  const byService = inputs.slices.index((s) => some(serviceNameOf(s)));
  return graph
    .derive('EndpointSlice', (key) => {
      const slice = inputs.slices.get(key);
      if (!slice?.endpoints?.some((e) => !isPodEndpoint(e))) return undefined;
      const behind = servicesOfSlice(slice, services);
      return outputOf(sliceWorkloads(slice, behind, settings()), slice, [behind[0]?.object], c);
    })
    .after(inputs.slices, (_, key) => [key])
    .after(
      services.table,
      (s) => (s.kind === 'Service' ? byService.keys(`${namespaceOf(s.object)}/${s.service.name}`) : []),
      viewDiffers,
    );
}

/** Marks workloads of a kind for what concerns workloads of all kinds. */
function follow<T extends KubeObject>(
  derived: Derived<Output>,
  table: Table<T>,
  labelled: Labelled<T>,
  { inputs }: Context,
  { waypoints, policies }: Parts,
): void {
  const users = waypoints.users(table, labelled);
  const instances = waypoints.instances(labelled);
  derived
    .after(inputs.namespaces, (_, name) => labelled.inNamespace(name), namespaceDiffers)
    .after(waypoints.table, (w) => [...users(w), ...instances(w)], waypointDiffers);
  policies.watch(derived, {
    all: () => table.values.keys(),
    matching: (namespace, selector) => labelled.matching(namespace, selector),
  });
}

interface Surroundings {
  readonly inputs: WorkloadInputs;
  readonly binding: Binding;
  readonly from: readonly (KubeObject | undefined)[];
}

/** What applies to a workload; policies by the labels of the one place, waypoints by those of the other. */
function surroundings(
  place: Place,
  bound: Place | undefined,
  network: string,
  services: readonly ServiceInfo[],
  { settings }: Context,
  parts: Parts,
): Surroundings {
  const scope = parts.waypoints.scopeOf(place.namespace);
  const binding = bound ? bindWorkload(bound, scope) : { weighted: [], condition: undefined, from: [] };
  const instance = bound && instanceOf(bound, scope);
  const listed = parts.policies.of(place);
  const way = network === settings().network ? undefined : parts.networks.to(network);
  const allowing = parts.policies.allowing([binding.waypointId, ...services.map((s) => s.binding.waypointId)]);
  return {
    inputs: {
      services,
      policies: [...listed.names, ...allowing],
      waypoint: binding.waypoint,
      networkGateway: way && referenceOf(way),
      applicationTunnel: instance?.tunnel,
    },
    binding,
    from: [...services.map((s) => s.object), ...listed.from, ...binding.from, instance?.gateway, way?.object],
  };
}

/** With split horizons, workloads of other networks are told only as part of their services. */
function outputOf(
  workloads: readonly Workload[] | undefined,
  object: KubeObject,
  from: readonly (KubeObject | undefined)[],
  { settings }: Context,
  moreOf: (workload: Workload) => Pick<Resource, 'labels' | 'waypoint'> = () => ({}),
): Output | undefined {
  if (workloads === undefined || workloads.length === 0) return undefined;
  const told = settings().multiNetwork
    ? workloads.filter((w) => w.network === networkOfAudience(settings()))
    : workloads;
  return {
    resources: told.map((w) => resourceOfAddress(w, [object, ...from], moreOf(w))),
    far: workloads.flatMap((w) => farEndpoint(w, moreOf(w).labels ?? {}, object, settings()) ?? []),
  };
}

function networksOf(endpoints: readonly { readonly network?: string }[]): readonly string[] {
  return [...new Set(endpoints.flatMap((e) => e.network ?? []))];
}

function some(value: string | undefined): readonly string[] {
  return value === undefined ? [] : [value];
}

function hasSelector(service: ServiceInfo): boolean {
  return Object.keys(service.selector).length > 0;
}

function viewDiffers(a: ServiceInfo, b: ServiceInfo): boolean {
  return a.view !== b.view;
}

/** `namespace/name` of the Service. */
function serviceNameOf(slice: EndpointSlice): string | undefined {
  const name = slice.metadata.labels?.[serviceNameLabel];
  return name === undefined ? undefined : `${namespaceOf(slice)}/${name}`;
}

function servicesOfSlice(slice: EndpointSlice, services: Services): readonly ServiceInfo[] {
  const name = serviceNameOf(slice);
  return name === undefined ? [] : services.ofObject('Service', name);
}

/** Keys of the pods that it names. */
function podsOf(slice: EndpointSlice): readonly string[] {
  if (serviceNameOf(slice) === undefined || slice.addressType === 'FQDN') return [];
  return (slice.endpoints ?? []).flatMap((e) => (isPodEndpoint(e) ? `${namespaceOf(slice)}/${e.targetRef?.name}` : []));
}
