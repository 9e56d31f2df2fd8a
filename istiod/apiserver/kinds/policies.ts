/** Limits, classes and templates: the rest of the core group, scheduling.k8s.io, node.k8s.io, certificates, webhooks. */
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { ApiObject } from '../objects.ts';
import type { Cause } from '../status.ts';
import { checkWebhooks } from '../webhooks/configuration.ts';
import { type BuiltInKind, shaped } from './built-in.ts';
import { age, at, listAt, number, numberAt, orNone, text, textAt, wide } from './columns.ts';
import { fillPodSpec } from './pods.ts';
import { forbidden, invalidValue, notEmpty, sameFields } from './rules.ts';

const core = { group: '', version: 'v1' } as const;
/** Bundles of a signer have its name before their own, so that nobody passes for it. */
function trustBundleFaults(object: ApiObject): readonly Cause[] {
  const signer = textAt(object, 'spec', 'signerName');
  const { name = '' } = object.metadata;
  const prefix = `${signer.replaceAll('/', ':')}:`;
  const bundle = textAt(object, 'spec', 'trustBundle');
  const faults: Cause[] = [];
  if (signer === '' ? name.includes(':') : !name.startsWith(prefix))
    faults.push(
      invalidValue(
        'metadata.name',
        name,
        signer === '' ? 'must have no colon without a signerName' : `must begin with ${prefix}`,
      ),
    );
  if (!bundle.includes('-----BEGIN CERTIFICATE-----'))
    faults.push(invalidValue('spec.trustBundle', bundle, 'must hold a certificate in PEM'));
  return faults;
}

const webhooks = { group: 'admissionregistration.k8s.io', version: 'v1', namespaced: false } as const;

const created = text('Created At', 'When it was made', (o) => o.metadata.creationTimestamp ?? '');
const pairs = (value: unknown): string =>
  Object.entries((value ?? {}) as object)
    .map(([k, v]) => `${k}=${v}`)
    .join(',');
const podSpecAt = (o: ApiObject, ...path: readonly string[]) => listAt(o, ...path, 'containers');
const containers = (...path: readonly string[]) =>
  text('Containers', 'Names of the containers', (o) =>
    podSpecAt(o, ...path)
      .map((c) => textAt(c, 'name'))
      .join(','),
  );
const images = (...path: readonly string[]) =>
  text('Images', 'Their images', (o) =>
    podSpecAt(o, ...path)
      .map((c) => textAt(c, 'image'))
      .join(','),
  );

/** `requests.cpu: 100m/2` of each limit that is asked for, or of each that is not. */
function usage(quota: ApiObject, limits: boolean): string {
  const hard = (at(quota, 'status', 'hard') ?? at(quota, 'spec', 'hard') ?? {}) as Record<string, string>;
  return Object.keys(hard)
    .filter((name) => name.startsWith('limits.') === limits)
    .sort()
    .map((name) => `${name}: ${textAt(quota, 'status', 'used', name) || '0'}/${hard[name]}`)
    .join(', ');
}

/** A limit is a default's default, and a default a request's. */
function fillLimits(object: ApiObject): void {
  for (const limit of listAt(object, 'spec', 'limits')) {
    if (!isObject(limit) || limit['type'] !== 'Container') continue;
    const fill = (to: string, from: string) => {
      const source = limit[from];
      if (isObject(source)) limit[to] = { ...source, ...(limit[to] as object | undefined) };
    };
    fill('default', 'max');
    fill('defaultRequest', 'default');
    fill('defaultRequest', 'min');
  }
}

const counted = [text('Webhooks', 'Number of webhooks', (o) => listAt(o, 'webhooks').length), age];

export const policyResources: readonly BuiltInKind[] = [
  {
    entry: shaped({ ...core, kind: 'LimitRange', plural: 'limitranges', namespaced: true }),
    shortNames: ['limits'],
    columns: [created],
    strategy: { fillIn: fillLimits },
  },
  {
    entry: shaped({ ...core, kind: 'ResourceQuota', plural: 'resourcequotas', namespaced: true }),
    shortNames: ['quota'],
    hasStatus: true,
    columns: [
      text('Request', 'Use of what is asked for', (o) => usage(o, false)),
      text('Limit', 'Use of limits', (o) => usage(o, true)),
      age,
    ],
    strategy: {
      prepareCreate(object) {
        object['status'] = {};
      },
    },
  },
  {
    entry: shaped({ ...core, kind: 'PodTemplate', plural: 'podtemplates', namespaced: true }),
    columns: [
      containers('template', 'spec'),
      images('template', 'spec'),
      text('Pod Labels', 'Labels of the pods', (o) => orNone(pairs(at(o, 'template', 'metadata', 'labels')))),
    ],
    strategy: { fillIn: (o) => fillPodSpec(at(o, 'template', 'spec')) },
  },
  {
    entry: shaped({ ...core, kind: 'ReplicationController', plural: 'replicationcontrollers', namespaced: true }),
    shortNames: ['rc'],
    categories: ['all'],
    hasStatus: true,
    hasGeneration: true,
    scale: { specReplicas: '.spec.replicas', statusReplicas: '.status.replicas', labelSelector: undefined },
    selectableFields: ['status.replicas'],
    columns: [
      number('Desired', 'spec.replicas', (o) => numberAt(o, 'spec', 'replicas')),
      number('Current', 'status.replicas', (o) => numberAt(o, 'status', 'replicas')),
      number('Ready', 'status.readyReplicas', (o) => numberAt(o, 'status', 'readyReplicas')),
      age,
      wide(containers('spec', 'template', 'spec')),
      wide(images('spec', 'template', 'spec')),
      wide(text('Selector', 'Labels of the pods', (o) => pairs(at(o, 'spec', 'selector')))),
    ],
    strategy: {
      fillIn(object) {
        fillPodSpec(at(object, 'spec', 'template', 'spec'));
        const labels = at(object, 'spec', 'template', 'metadata', 'labels') as Record<string, string> | undefined;
        const spec = at(object, 'spec');
        if (labels === undefined || !isObject(spec)) return;
        if (Object.keys((spec['selector'] ?? {}) as object).length === 0) spec['selector'] = { ...labels };
        if (object.metadata.labels === undefined) object.metadata.labels = { ...labels };
      },
      prepareCreate(object) {
        object['status'] = { replicas: 0 };
      },
      validate(object) {
        const selector = (at(object, 'spec', 'selector') ?? {}) as Record<string, string>;
        const labels = at(object, 'spec', 'template', 'metadata', 'labels');
        const fits = Object.entries(selector).every(([k, v]) => textAt(labels, k) === v);
        return fits && Object.keys(selector).length > 0
          ? []
          : [
              invalidValue(
                'spec.template.metadata.labels',
                labels ?? {},
                '`selector` does not match template `labels`',
              ),
            ];
      },
    },
  },
  {
    entry: shaped({ ...core, kind: 'ComponentStatus', plural: 'componentstatuses', namespaced: false }),
    shortNames: ['cs'],
    verbs: ['get', 'list'],
    columns: [
      text('Status', 'Whether it is healthy', (o) => textAt(listAt(o, 'conditions')[0], 'status')),
      text('Message', 'What it says', (o) => textAt(listAt(o, 'conditions')[0], 'message')),
      text('Error', 'What went wrong', (o) => textAt(listAt(o, 'conditions')[0], 'error')),
    ],
  },
  {
    entry: shaped({
      group: 'scheduling.k8s.io',
      version: 'v1',
      kind: 'PriorityClass',
      plural: 'priorityclasses',
      namespaced: false,
    }),
    shortNames: ['pc'],
    columns: [
      number('Value', 'Rank', (o) => numberAt(o, 'value')),
      text('Global-Default', 'For pods that name none', (o) => at(o, 'globalDefault') === true),
      age,
      text('PreemptionPolicy', 'Whether others are evicted', (o) => textAt(o, 'preemptionPolicy')),
    ],
    strategy: {
      validate(object, old) {
        const value = numberAt(object, 'value');
        const isSystem = (object.metadata.name ?? '').startsWith('system-');
        return [
          ...(value > 1_000_000_000 && !isSystem
            ? [forbidden('value', 'maximum allowed value of a user defined priority is 1000000000')]
            : []),
          ...(old === undefined
            ? []
            : ['value', 'preemptionPolicy'].flatMap((f) => sameFields(object, old, [f], [], 'may not be changed'))),
        ];
      },
    },
  },
  {
    entry: shaped({
      group: 'node.k8s.io',
      version: 'v1',
      kind: 'RuntimeClass',
      plural: 'runtimeclasses',
      namespaced: false,
    }),
    columns: [text('Handler', 'Name for the runtime', (o) => textAt(o, 'handler')), age],
    strategy: {
      validate: (object, old) =>
        old === undefined ? notEmpty(object, 'handler') : sameFields(object, old, ['handler'], [], 'is immutable'),
    },
  },
  {
    entry: shaped({
      group: 'certificates.k8s.io',
      version: 'v1',
      kind: 'CertificateSigningRequest',
      plural: 'certificatesigningrequests',
      namespaced: false,
    }),
    shortNames: ['csr'],
    hasStatus: true,
    selectableFields: ['spec.signerName'],
    columns: [
      age,
      text('SignerName', 'Who shall sign', (o) => textAt(o, 'spec', 'signerName')),
      text('Requestor', 'Who asks', (o) => textAt(o, 'spec', 'username')),
      text('RequestedDuration', 'How long it shall be valid', (o) => {
        const seconds = at(o, 'spec', 'expirationSeconds');
        return seconds === undefined ? '<none>' : `${String(seconds)}s`;
      }),
      text('Condition', 'How far it is', (o) => {
        const types = listAt(o, 'status', 'conditions').map((c) => textAt(c, 'type'));
        const state = ['Denied', 'Approved', 'Failed'].filter((t) => types.includes(t));
        const issued = textAt(o, 'status', 'certificate') === '' ? [] : ['Issued'];
        return [...state, ...issued].join(',') || 'Pending';
      }),
    ],
    strategy: {
      prepareCreate(object) {
        object['status'] = {};
      },
      validate: (object, old) => (old === undefined ? [] : sameFields(object, old, ['spec'], [], 'is immutable')),
    },
  },
  {
    entry: shaped({
      group: 'certificates.k8s.io',
      version: 'v1',
      kind: 'ClusterTrustBundle',
      plural: 'clustertrustbundles',
      namespaced: false,
      nameRule: 'path',
    }),
    selectableFields: ['spec.signerName'],
    columns: [text('SignerName', 'Whose roots they are', (o) => textAt(o, 'spec', 'signerName')), age],
    strategy: {
      validate: (object, old) => [
        ...(old === undefined ? [] : sameFields(object, old, ['spec'], ['trustBundle'], 'signerName is immutable')),
        ...trustBundleFaults(object),
      ],
    },
  },
  {
    entry: shaped({
      ...webhooks,
      kind: 'ValidatingWebhookConfiguration',
      plural: 'validatingwebhookconfigurations',
    }),
    hasGeneration: true,
    columns: counted,
    strategy: { validate: checkWebhooks },
  },
  {
    entry: shaped({ ...webhooks, kind: 'MutatingWebhookConfiguration', plural: 'mutatingwebhookconfigurations' }),
    hasGeneration: true,
    columns: counted,
    strategy: { validate: checkWebhooks },
  },
];
