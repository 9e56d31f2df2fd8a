/** networking.k8s.io. */
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { ApiObject } from '../objects.ts';
import type { Cause } from '../status.ts';
import { type BuiltInKind, shaped } from './built-in.ts';
import { age, at, listAt, orNone, text, textAt } from './columns.ts';
import { invalidValue, required, sameFields, selectorText } from './rules.ts';

const networking = { group: 'networking.k8s.io', version: 'v1' } as const;

function hosts(ingress: ApiObject): string {
  const all = listAt(ingress, 'spec', 'rules')
    .map((r) => textAt(r, 'host'))
    .filter((h) => h !== '');
  if (all.length === 0) return '*';
  return all.length > 3 ? `${all.slice(0, 3).join(',')} + ${all.length - 3} more...` : all.join(',');
}

function checkIngress(ingress: ApiObject): readonly Cause[] {
  const causes: Cause[] = [];
  const rules = listAt(ingress, 'spec', 'rules');
  const fallback = at(ingress, 'spec', 'defaultBackend');
  if (rules.length === 0 && fallback === undefined)
    causes.push(invalidValue('spec', rules, 'either `defaultBackend` or `rules` must be specified'));
  if (fallback !== undefined) causes.push(...checkBackend(fallback, 'spec.defaultBackend'));
  rules.forEach((rule, i) => {
    listAt(rule, 'http', 'paths').forEach((p, j) => {
      const field = `spec.rules[${i}].http.paths[${j}]`;
      const [path, type] = [textAt(p, 'path'), textAt(p, 'pathType')];
      if (type === '') causes.push(required(`${field}.pathType`, 'pathType must be specified'));
      if (type !== 'ImplementationSpecific' && !path.startsWith('/'))
        causes.push(invalidValue(`${field}.path`, path, 'must be an absolute path'));
      causes.push(...checkBackend(at(p, 'backend'), `${field}.backend`));
    });
  });
  return causes;
}

function checkBackend(backend: unknown, field: string): readonly Cause[] {
  const service = at(backend, 'service');
  const resource = at(backend, 'resource');
  if ((service === undefined) === (resource === undefined))
    return [invalidValue(field, '', 'exactly one of `service` and `resource` is expected')];
  if (service === undefined) return [];
  const [name, number] = [textAt(service, 'port', 'name'), textAt(service, 'port', 'number')];
  if ((name === '') === (number === ''))
    return [required(`${field}.service.port`, 'exactly one of port name and port number is expected')];
  const port = Number(number);
  return number === '' || (port >= 1 && port <= 65_535)
    ? []
    : [invalidValue(`${field}.service.port.number`, port, 'must be between 1 and 65535, inclusive')];
}

export const networkingResources: readonly BuiltInKind[] = [
  {
    entry: shaped({ ...networking, kind: 'Ingress', plural: 'ingresses', namespaced: true }),
    shortNames: ['ing'],
    hasStatus: true,
    hasGeneration: true,
    columns: [
      text('Class', 'Who serves it', (o) => orNone(textAt(o, 'spec', 'ingressClassName'))),
      text('Hosts', 'Host names', hosts),
      text('Address', 'Where it is reached', (o) =>
        listAt(o, 'status', 'loadBalancer', 'ingress')
          .map((i) => textAt(i, 'ip') || textAt(i, 'hostname'))
          .join(','),
      ),
      text('Ports', 'Ports', (o) => (listAt(o, 'spec', 'tls').length > 0 ? '80, 443' : '80')),
      age,
    ],
    strategy: {
      prepareCreate(object) {
        object['status'] = { loadBalancer: {} };
      },
      validate: checkIngress,
    },
  },
  {
    entry: shaped({ ...networking, kind: 'IngressClass', plural: 'ingressclasses', namespaced: false }),
    hasGeneration: true,
    columns: [
      text('Controller', 'Who serves it', (o) => textAt(o, 'spec', 'controller')),
      text('Parameters', 'Its settings', (o) => {
        const parameters = at(o, 'spec', 'parameters');
        if (parameters === undefined) return '<none>';
        const group = textAt(parameters, 'apiGroup');
        return `${textAt(parameters, 'kind')}${group === '' ? '' : `.${group}`}/${textAt(parameters, 'name')}`;
      }),
      age,
    ],
    strategy: {
      validate: (object, old) =>
        old === undefined ? [] : sameFields(object, old, ['spec', 'controller'], [], 'is immutable'),
    },
  },
  {
    entry: shaped({ ...networking, kind: 'NetworkPolicy', plural: 'networkpolicies', namespaced: true }),
    shortNames: ['netpol'],
    hasGeneration: true,
    columns: [text('Pod-Selector', 'Pods it is about', (o) => orNone(selectorText(at(o, 'spec', 'podSelector')))), age],
    strategy: {
      /** Incoming traffic always, outgoing where rules say something of it. */
      fillIn(object) {
        const spec = at(object, 'spec');
        if (!isObject(spec)) return;
        spec['podSelector'] ??= {};
        if (listAt(spec, 'policyTypes').length === 0)
          spec['policyTypes'] = ['Ingress', ...(listAt(spec, 'egress').length > 0 ? ['Egress'] : [])];
      },
    },
  },
  {
    entry: shaped({ ...networking, kind: 'IPAddress', plural: 'ipaddresses', namespaced: false, nameRule: 'path' }),
    shortNames: ['ip'],
    columns: [
      text('ParentRef', 'Who has it', (o) => {
        const of = (name: string) => textAt(o, 'spec', 'parentRef', name);
        return [of('resource') + (of('group') === '' ? '' : `.${of('group')}`), of('namespace'), of('name')]
          .filter((t) => t !== '')
          .join('/');
      }),
      age,
    ],
    strategy: {
      validate: (object, old) => (old === undefined ? [] : sameFields(object, old, ['spec'], [], 'is immutable')),
    },
  },
  {
    entry: shaped({ ...networking, kind: 'ServiceCIDR', plural: 'servicecidrs', namespaced: false }),
    hasStatus: true,
    columns: [text('CIDRs', 'Its ranges', (o) => listAt(o, 'spec', 'cidrs').join(',')), age],
    strategy: {
      validate: (object, old) => (old === undefined ? [] : sameFields(object, old, ['spec'], [], 'is immutable')),
    },
  },
];
