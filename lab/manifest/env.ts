/** Environment of a container: plans without I/O, then values once the pod's address and its ConfigMaps are known. */
import type { ConfigMap, Container, Pod, Secret, Service } from '../../common/kube/kinds/core.ts';
import type { Problems } from './problems.ts';
import { planResourceField, type ResourceField } from './resources.ts';

export type EnvPlan =
  | { readonly kind: 'value'; readonly name: string; readonly value: string }
  | { readonly kind: 'field'; readonly name: string; readonly fieldPath: string }
  | { readonly kind: 'resource'; readonly name: string; readonly ref: ResourceField }
  | {
      readonly kind: 'configMap' | 'secret';
      readonly name: string;
      readonly object: string;
      readonly key: string;
      readonly optional: boolean;
    }
  | {
      readonly kind: 'all';
      readonly of: 'configMap' | 'secret';
      readonly object: string;
      readonly prefix: string;
      readonly optional: boolean;
    };

interface KeyRef {
  readonly name: string;
  readonly key: string;
  readonly optional?: boolean;
}

interface EnvFrom {
  readonly prefix?: string;
  readonly configMapRef?: { readonly name: string; readonly optional?: boolean };
  readonly secretRef?: { readonly name: string; readonly optional?: boolean };
}

export function planEnv(container: Container, field: string, problems: Problems): EnvPlan[] {
  const from = ((container['envFrom'] ?? []) as readonly EnvFrom[]).flatMap((source, i): EnvPlan[] => {
    problems.only(source, `${field}.envFrom[${i}]`, ['prefix', 'configMapRef', 'secretRef']);
    const ref = source.configMapRef ?? source.secretRef;
    if (ref === undefined) return [];
    const of = source.configMapRef ? 'configMap' : 'secret';
    return [{ kind: 'all', of, object: ref.name, prefix: source.prefix ?? '', optional: ref.optional === true }];
  });
  const single = (container.env ?? []).map((variable, i): EnvPlan => {
    const at = `${field}.env[${i}].valueFrom`;
    const { name, value, valueFrom } = variable;
    if (valueFrom === undefined) return { kind: 'value', name, value: value ?? '' };
    problems.only(valueFrom, at, ['fieldRef', 'resourceFieldRef', 'configMapKeyRef', 'secretKeyRef']);
    const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = valueFrom;
    if (fieldRef) {
      if (!isKnownField(fieldRef.fieldPath)) {
        problems.add(
          `${at}.fieldRef.fieldPath`,
          `"${fieldRef.fieldPath}" is not a field of a pod that a lab gives out`,
        );
      }
      return { kind: 'field', name, fieldPath: fieldRef.fieldPath };
    }
    if (resourceFieldRef)
      return { kind: 'resource', name, ref: planResourceField(resourceFieldRef, `${at}.resourceFieldRef`, problems) };
    if (configMapKeyRef) return keyPlan('configMap', name, configMapKeyRef);
    if (secretKeyRef) return keyPlan('secret', name, secretKeyRef);
    return { kind: 'value', name, value: '' };
  });
  return [...from, ...single];
}

function keyPlan(kind: 'configMap' | 'secret', name: string, ref: KeyRef): EnvPlan {
  return { kind, name, object: ref.name, key: ref.key, optional: ref.optional === true };
}

export interface EnvFacts {
  /** With its status. */
  readonly pod: Pod;
  configMap(name: string): ConfigMap | undefined;
  secret(name: string): Secret | undefined;
  resource(ref: ResourceField): string;
}

export type Resolved =
  | { readonly ok: true; readonly env: Record<string, string> }
  | { readonly ok: false; readonly missing: string };

/** Later entries win, also over `first`; `$(VAR)` in a value means a variable named before it. */
export function resolveEnv(
  plans: readonly EnvPlan[],
  facts: EnvFacts,
  first: Readonly<Record<string, string>> = {},
): Resolved {
  const env: Record<string, string> = { ...first };
  for (const plan of plans) {
    if (plan.kind === 'value') env[plan.name] = expand(plan.value, env);
    else if (plan.kind === 'field') env[plan.name] = podField(facts.pod, plan.fieldPath) ?? '';
    else if (plan.kind === 'resource') env[plan.name] = facts.resource(plan.ref);
    else {
      const of = plan.kind === 'all' ? plan.of : plan.kind;
      const data =
        of === 'configMap' ? configMapData(facts.configMap(plan.object)) : secretData(facts.secret(plan.object));
      if (data === undefined) {
        if (plan.optional) continue;
        return { ok: false, missing: `${of} "${plan.object}" does not exist` };
      }
      if (plan.kind === 'all') {
        for (const [key, value] of data) env[`${plan.prefix}${key}`] = value.toString('utf8');
        continue;
      }
      const value = data.get(plan.key);
      if (value !== undefined) env[plan.name] = value.toString('utf8');
      else if (!plan.optional) return { ok: false, missing: `${of} "${plan.object}" has no key "${plan.key}"` };
    }
  }
  return { ok: true, env };
}

/** `$(NAME)` becomes the variable's value, `$$` a dollar; an unknown name stays as it is. */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([A-Za-z_.-][\w.-]*)\)/g, (whole, name: string | undefined) => {
    if (name === undefined) return '$';
    return env[name] ?? whole;
  });
}

export function configMapData(o: ConfigMap | undefined): Map<string, Buffer> | undefined {
  if (o === undefined) return undefined;
  const text = Object.entries(o.data ?? {}).map(([k, v]): [string, Buffer] => [k, Buffer.from(v, 'utf8')]);
  return new Map([...text, ...decode(o.binaryData)]);
}

export function secretData(o: Secret | undefined): Map<string, Buffer> | undefined {
  if (o === undefined) return undefined;
  const text = Object.entries(o.stringData ?? {}).map(([k, v]): [string, Buffer] => [k, Buffer.from(v, 'utf8')]);
  return new Map([...decode(o.data), ...text]);
}

function decode(data: Readonly<Record<string, string>> | undefined): [string, Buffer][] {
  return Object.entries(data ?? {}).map(([k, v]) => [k, Buffer.from(v, 'base64')]);
}

const plainFields: Readonly<Record<string, (pod: Pod) => string | undefined>> = {
  'metadata.name': (p) => p.metadata.name,
  'metadata.namespace': (p) => p.metadata.namespace,
  'metadata.uid': (p) => p.metadata.uid,
  'metadata.labels': (p) => fieldLines(p.metadata.labels),
  'metadata.annotations': (p) => fieldLines(p.metadata.annotations),
  'spec.nodeName': (p) => p.spec.nodeName,
  'spec.serviceAccountName': (p) => p.spec.serviceAccountName ?? 'default',
  'status.hostIP': (p) => p.status?.hostIP,
  'status.hostIPs': (p) => p.status?.hostIPs?.map((x) => x.ip).join(','),
  'status.podIP': (p) => p.status?.podIP,
  'status.podIPs': (p) => p.status?.podIPs?.map((x) => x.ip).join(','),
};

const mapField = /^metadata\.(labels|annotations)\['([^']+)'\]$/;

export function isKnownField(path: string): boolean {
  return Object.hasOwn(plainFields, path) || mapField.test(path);
}

/** A field as the downward API gives it out. */
export function podField(pod: Pod, path: string): string | undefined {
  const entry = mapField.exec(path);
  if (entry) return pod.metadata[entry[1] as 'labels' | 'annotations']?.[entry[2]!];
  return Object.hasOwn(plainFields, path) ? plainFields[path]!(pod) : undefined;
}

function fieldLines(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([k, v]) => `${k}=${JSON.stringify(v)}\n`)
    .join('');
}

/**
 * Variables that tell of Services: of the API's own always, of those in the pod's namespace with `links`. Names are as Docker's links
 * once made them.
 */
export function serviceEnv(services: Iterable<Service>, namespace: string, links: boolean): Record<string, string> {
  const env: Record<string, string> = {};
  const isApi = (s: Service) => s.metadata.namespace === 'default' && s.metadata.name === 'kubernetes';
  const seen = [...services].filter((s) => isApi(s) || (links && s.metadata.namespace === namespace));
  // The namespace's own win.
  for (const s of seen.sort((a, b) => Number(isApi(b)) - Number(isApi(a)))) Object.assign(env, linksOf(s));
  return env;
}

function linksOf({ metadata, spec }: Service): Record<string, string> {
  const { clusterIP: ip = '', ports = [] } = spec;
  const [first] = ports;
  if (ip === '' || ip === 'None' || first === undefined) return {};
  const upper = (text: string) => text.toUpperCase().replaceAll('-', '_');
  const host = ip.includes(':') ? `[${ip}]` : ip;
  const name = upper(metadata.name);
  const link = (p: typeof first) => `${(p.protocol ?? 'TCP').toLowerCase()}://${host}:${p.port}`;
  const env: Record<string, string> = {
    [`${name}_SERVICE_HOST`]: ip,
    [`${name}_SERVICE_PORT`]: String(first.port),
    [`${name}_PORT`]: link(first),
  };
  for (const port of ports) {
    if (port.name) env[`${name}_SERVICE_PORT_${upper(port.name)}`] = String(port.port);
    const protocol = port.protocol ?? 'TCP';
    const prefix = `${name}_PORT_${port.port}_${protocol}`;
    env[prefix] = link(port);
    env[`${prefix}_PROTO`] = protocol.toLowerCase();
    env[`${prefix}_PORT`] = String(port.port);
    env[`${prefix}_ADDR`] = ip;
  }
  return env;
}
