/** What the schema cannot say of pods and their templates: names that refer to each other, and what may change. Pure. */
import { isSameJson } from '../../../common/core/same-json.ts';
import { compareQuantities } from '../../../common/kube/canonical-quantity.ts';
import type { ApiObject } from '../objects.ts';
import type { Cause } from '../status.ts';
import { at, listAt, textAt } from './columns.ts';
import { duplicate, forbidden, invalidValue, required } from './rules.ts';

/** `field`: `spec`, `spec.template.spec`. `claimed`: volumes that come with each pod. Types are right already. */
export function checkPodSpec(spec: unknown, field: string, claimed: readonly string[] = []): readonly Cause[] {
  const volumes = new Set([...listAt(spec, 'volumes').map((v) => textAt(v, 'name')), ...claimed]);
  const names = new Set<string>();
  const causes: Cause[] = [];
  listAt(spec, 'volumes').forEach((volume, i) => {
    const sources = Object.keys(volume as object).filter((k) => k !== 'name');
    if (sources.length === 0) causes.push(required(`${field}.volumes[${i}]`, 'must specify a volume type'));
    if (sources.length > 1)
      causes.push(forbidden(`${field}.volumes[${i}].${sources[1]}`, 'may not specify more than 1 volume type'));
  });
  for (const list of ['initContainers', 'containers', 'ephemeralContainers']) {
    listAt(spec, list).forEach((container, i) => {
      const path = `${field}.${list}[${i}]`;
      const name = textAt(container, 'name');
      if (names.has(name)) causes.push(duplicate(`${path}.name`, name));
      names.add(name);
      causes.push(...checkContainer(container, path, volumes, list === 'containers'));
    });
  }
  listAt(spec, 'tolerations').forEach((toleration, i) => {
    if (textAt(toleration, 'operator') === 'Exists' && textAt(toleration, 'value') !== '')
      causes.push(
        invalidValue(
          `${field}.tolerations[${i}].operator`,
          toleration,
          "value must be empty when `operator` is 'Exists'",
        ),
      );
  });
  return causes;
}

function checkContainer(
  container: unknown,
  path: string,
  volumes: ReadonlySet<string>,
  mayHaveProbes: boolean,
): readonly Cause[] {
  const causes: Cause[] = [];
  if (textAt(container, 'image').trim() === '') causes.push(required(`${path}.image`));
  listAt(container, 'volumeMounts').forEach((mount, i) => {
    const name = textAt(mount, 'name');
    if (!volumes.has(name)) causes.push(notFoundHere(`${path}.volumeMounts[${i}].name`, name));
  });
  const ports = listAt(container, 'ports').map((p) => textAt(p, 'name'));
  ports.forEach((name, i) => {
    if (name !== '' && ports.indexOf(name) !== i) causes.push(duplicate(`${path}.ports[${i}].name`, name));
  });
  listAt(container, 'env').forEach((variable, i) => {
    if (textAt(variable, 'name').includes('='))
      causes.push(invalidValue(`${path}.env[${i}].name`, textAt(variable, 'name'), 'must not contain "="'));
    const from = at(variable, 'valueFrom');
    if (from === undefined) return;
    if (textAt(variable, 'value') !== '')
      causes.push(invalidValue(`${path}.env[${i}].valueFrom`, '', 'may not be specified when `value` is not empty'));
    if (Object.keys(from as object).length === 0)
      causes.push(invalidValue(`${path}.env[${i}].valueFrom`, '', 'must specify one of its sources'));
  });
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    const probe = at(container, name);
    if (probe === undefined) continue;
    const isSidecar = textAt(container, 'restartPolicy') === 'Always';
    if (!mayHaveProbes && !isSidecar)
      causes.push(forbidden(`${path}.${name}`, 'may not be set for init containers without restartPolicy=Always'));
    causes.push(...checkProbe(probe, `${path}.${name}`, name !== 'readinessProbe'));
  }
  for (const hook of ['postStart', 'preStop']) {
    const action = at(container, 'lifecycle', hook);
    if (action !== undefined && Object.keys(action as object).length !== 1)
      causes.push(required(`${path}.lifecycle.${hook}`, 'must specify exactly one handler type'));
  }
  return [...causes, ...checkResources(at(container, 'resources'), `${path}.resources`)];
}

const handlers = ['exec', 'httpGet', 'tcpSocket', 'grpc'];

function checkProbe(probe: unknown, path: string, onceOnly: boolean): readonly Cause[] {
  const causes: Cause[] = [];
  if (!handlers.some((h) => at(probe, h) !== undefined)) causes.push(required(path, 'must specify a handler type'));
  if (onceOnly && at(probe, 'successThreshold') !== 1)
    causes.push(invalidValue(`${path}.successThreshold`, at(probe, 'successThreshold'), 'must be 1'));
  return causes;
}

function checkResources(resources: unknown, path: string): readonly Cause[] {
  const [requests, limits] = [at(resources, 'requests') ?? {}, at(resources, 'limits') ?? {}];
  return Object.entries(requests as Record<string, string>)
    .filter(([name, request]) => {
      const limit = textAt(limits, name);
      return limit !== '' && compareQuantities(request, limit) > 0;
    })
    .map(([name, request]) =>
      invalidValue(
        `${path}.requests`,
        request,
        `must be less than or equal to ${name} limit of ${textAt(limits, name)}`,
      ),
    );
}

function notFoundHere(field: string, name: string): Cause {
  return { reason: 'FieldValueNotFound', field, message: `Not found: ${JSON.stringify(name)}` };
}

/** Members of a pod's spec that may change, but for the images of containers and tolerations that are added. */
const mutable = ['activeDeadlineSeconds', 'terminationGracePeriodSeconds', 'schedulingGates', 'tolerations'] as const;

/** Of an update of the pod itself. */
export function checkPodUpdate(pod: ApiObject, old: ApiObject): readonly Cause[] {
  const causes: Cause[] = [];
  if (!isSameJson(frozen(pod), frozen(old))) {
    causes.push(
      forbidden(
        'spec',
        'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative),`spec.tolerations` (only additions to existing tolerations),`spec.schedulingGates` (only removals)',
      ),
    );
  }
  const now = listAt(pod, 'spec', 'tolerations');
  if (listAt(old, 'spec', 'tolerations').some((t) => !now.some((n) => isSameJson(n, t))))
    causes.push(forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds'));
  const gates = new Set(listAt(old, 'spec', 'schedulingGates').map((g) => textAt(g, 'name')));
  if (listAt(pod, 'spec', 'schedulingGates').some((g) => !gates.has(textAt(g, 'name'))))
    causes.push(forbidden('spec.schedulingGates', 'only deletion is allowed'));
  return causes;
}

function frozen(pod: ApiObject): unknown {
  const spec = structuredClone((pod['spec'] ?? {}) as Record<string, unknown>);
  for (const name of mutable) delete spec[name];
  for (const list of ['containers', 'initContainers'])
    for (const container of listAt(spec, list)) delete (container as Record<string, unknown>)['image'];
  return spec;
}
