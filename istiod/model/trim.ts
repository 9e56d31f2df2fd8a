/**
 * What the model reads of objects, and nothing else: with 10,000 pods the rest is most of the memory. What is not of its type is left
 * out, so that the model need not doubt any of it.
 */
import type { Container, Node, Pod, Service } from '../../common/kube/kinds/core.ts';
import type { EndpointSlice } from '../../common/kube/kinds/discovery.ts';
import { isObject } from '../../common/kube/schema/validate.ts';
import type { KubeObject, ObjectMeta } from '../../common/kube/types.ts';

/** The object as it was once applied: often longer than itself. */
const longAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

/** For kinds whose spec is checked before it is used. */
export function trimObject<T extends KubeObject>(object: T): T {
  const { status, ...rest } = object as KubeObject;
  const { conditions, addresses, ...others } = fields(status);
  return {
    ...rest,
    metadata: trimMeta(object.metadata),
    ...(isObject(status) && {
      status: {
        ...others,
        ...(Array.isArray(conditions) && { conditions: objects(conditions) }),
        ...(Array.isArray(addresses) && {
          addresses: objects(addresses).map((a) => ({
            ...text(a, 'type'),
            ...text(a, 'host'),
            value: String(a['value']),
          })),
        }),
      },
    }),
  } as T;
}

/** Of the program that reads it, to which null may be something. */
const opaque = 'pluginConfig';

/**
 * What is kept of an object whose spec is valid: members that are null count as absent there, as for the validator and for API servers. The
 * same object where there are none.
 */
export function keptOf<T extends KubeObject>(object: T): T {
  const { spec } = object as KubeObject;
  const kept = withoutNulls(spec);
  return kept === spec ? object : { ...object, spec: kept };
}

function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map(withoutNulls);
    return items.every((item, i) => item === value[i]) ? value : items;
  }
  const before = Object.entries(value);
  const after = before.flatMap(([name, member]) =>
    member === null ? [] : [[name, name === opaque ? member : withoutNulls(member)] as const],
  );
  const isSame = after.length === before.length && after.every(([, member], i) => member === before[i]![1]);
  return isSame ? value : Object.fromEntries(after);
}

function trimMeta(metadata: ObjectMeta): ObjectMeta {
  const { managedFields: _, annotations, ...rest } = metadata as ObjectMeta & { managedFields?: unknown };
  if (annotations === undefined || Object.keys(annotations).length === 0) return rest;
  const { [longAnnotation]: __, ...others } = annotations;
  return Object.keys(others).length === 0 ? rest : { ...rest, annotations: others };
}

export function trimPod(pod: Pod): Pod {
  const [spec, status] = [fields(pod.spec), fields(pod.status)];
  const init = withPorts(spec['initContainers']);
  const podIPs = objects(status['podIPs']).flatMap(({ ip }) => (typeof ip === 'string' ? { ip } : []));
  const conditions = objects(status['conditions']).filter((c) => c['type'] === 'Ready');
  return {
    apiVersion: pod.apiVersion,
    kind: pod.kind,
    metadata: trimMeta(pod.metadata),
    spec: {
      containers: withPorts(spec['containers']),
      ...(init.length > 0 && { initContainers: init }),
      ...text(spec, 'nodeName'),
      ...text(spec, 'serviceAccountName'),
      ...(spec['hostNetwork'] === true && { hostNetwork: true }),
    },
    status: {
      ...(text(status, 'phase') as Pick<NonNullable<Pod['status']>, 'phase'>),
      ...(podIPs.length > 0 ? { podIPs } : text(status, 'podIP')),
      conditions: conditions.map((c) => ({ type: 'Ready', status: c['status'] === 'True' ? 'True' : 'False' })),
    },
  };
}

/** Containers with ports that have names, which Services may mean. */
function withPorts(containers: unknown): readonly Container[] {
  return objects(containers).flatMap((c) => {
    const ports = objects(c['ports']).flatMap((p) => {
      const containerPort = p['containerPort'];
      if (typeof p['name'] !== 'string' || typeof containerPort !== 'number') return [];
      return [{ name: p['name'], containerPort, ...protocolOf(p) }];
    });
    return ports.length === 0 ? [] : [{ name: String(c['name']), ports }];
  });
}

export function trimService(service: Service): Service {
  const [spec, status] = [fields(service.spec), fields(service.status)];
  const { selector, publishNotReadyAddresses } = spec;
  const ports = objects(spec['ports']).flatMap((p) => {
    const { port, targetPort } = p;
    if (typeof port !== 'number') return [];
    const target = typeof targetPort === 'number' || typeof targetPort === 'string' ? { targetPort } : {};
    return [{ port, ...target, ...text(p, 'name'), ...text(p, 'appProtocol'), ...protocolOf(p) }];
  });
  return {
    apiVersion: service.apiVersion,
    kind: service.kind,
    metadata: trimMeta(service.metadata),
    spec: {
      ...(text(spec, 'type') as Pick<Service['spec'], 'type'>),
      ...text(spec, 'clusterIP'),
      ...(Array.isArray(spec['clusterIPs']) && { clusterIPs: texts(spec['clusterIPs']) }),
      ...(Array.isArray(spec['ipFamilies']) && {
        ipFamilies: texts(spec['ipFamilies']) as NonNullable<Service['spec']['ipFamilies']>,
      }),
      ...(isObject(selector) && { selector: textsOf(selector) }),
      ports,
      ...(publishNotReadyAddresses === true && { publishNotReadyAddresses }),
      ...(text(spec, 'internalTrafficPolicy') as Pick<Service['spec'], 'internalTrafficPolicy'>),
      ...text(spec, 'trafficDistribution'),
    },
    // Ours are among them.
    ...(Array.isArray(status['conditions']) && { status: { conditions: objects(status['conditions']) as never } }),
  };
}

/** Its labels say where it is. */
export function trimNode({ apiVersion, kind, metadata }: Node): Node {
  const { name, uid, resourceVersion, labels } = metadata;
  return { apiVersion, kind, metadata: { name, uid, resourceVersion, ...(labels && { labels }) } };
}

export function trimSlice(slice: EndpointSlice): EndpointSlice {
  const { apiVersion, kind, metadata, addressType } = slice;
  return {
    apiVersion,
    kind,
    metadata: trimMeta(metadata),
    addressType,
    endpoints: objects(slice.endpoints).map((e) => {
      const [target, conditions] = [fields(e['targetRef']), fields(e['conditions'])];
      // A pod says the rest itself.
      if (target['kind'] === 'Pod') return { addresses: [], targetRef: { kind: 'Pod', ...text(target, 'name') } };
      const { ready } = conditions;
      return {
        addresses: texts(e['addresses']),
        ...(typeof ready === 'boolean' && { conditions: { ready } }),
        ...text(e, 'nodeName'),
        ...text(e, 'zone'),
      };
    }),
    ports: objects(slice.ports).map((p) => ({
      ...text(p, 'name'),
      ...protocolOf(p),
      ...(typeof p['port'] === 'number' && { port: p['port'] }),
    })),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function fields(value: unknown): Fields {
  return isObject(value) ? value : {};
}

function objects(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((v) => typeof v === 'string') : [];
}

/** Of a selector: a value that were left out would widen it. */
function textsOf(value: Fields): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, String(v)]));
}

/** Nothing where it is empty. */
function text<Name extends string>(of: Fields, name: Name): { readonly [K in Name]?: string } {
  const value = of[name];
  return (typeof value === 'string' && value !== '' ? { [name]: value } : {}) as { readonly [K in Name]?: string };
}

function protocolOf(port: Fields): { readonly protocol?: 'TCP' | 'UDP' | 'SCTP' } {
  const { protocol } = port;
  return protocol === 'TCP' || protocol === 'UDP' || protocol === 'SCTP' ? { protocol } : {};
}
