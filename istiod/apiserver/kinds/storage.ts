/** Volumes and their classes: of the core group and of storage.k8s.io. */
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { ApiObject } from '../objects.ts';
import type { Cause } from '../status.ts';
import { type BuiltInKind, shaped } from './built-in.ts';
import { age, at, listAt, number, text, textAt, wide } from './columns.ts';
import { forbidden, notEmpty, required, sameFields } from './rules.ts';

const storage = { group: 'storage.k8s.io', version: 'v1' } as const;

const shortModes: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
};

const modes = (o: ApiObject, ...path: readonly string[]) =>
  listAt(o, ...path)
    .map((m) => shortModes[String(m)] ?? String(m))
    .join(',');
const volumeMode = wide(text('VolumeMode', 'Filesystem or Block', (o) => textAt(o, 'spec', 'volumeMode')));
const attributesClass = text('VolumeAttributesClass', 'Class of changeable attributes', (o) =>
  at(o, 'spec', 'volumeAttributesClassName') === undefined ? '<unset>' : textAt(o, 'spec', 'volumeAttributesClassName'),
);
const isDeleted = (o: ApiObject) => o.metadata.deletionTimestamp !== undefined;

/** Members of a PersistentVolume's spec that are no source. */
const volumeFields = new Set([
  'capacity',
  'accessModes',
  'claimRef',
  'persistentVolumeReclaimPolicy',
  'storageClassName',
  'mountOptions',
  'volumeMode',
  'nodeAffinity',
  'volumeAttributesClassName',
]);

function sourcesOf(volume: ApiObject | undefined): Record<string, unknown> {
  const spec = at(volume, 'spec');
  if (!isObject(spec)) return {};
  return Object.fromEntries(Object.entries(spec).filter(([name]) => !volumeFields.has(name)));
}

function checkVolume(volume: ApiObject, old: ApiObject | undefined): readonly Cause[] {
  const causes: Cause[] = [];
  const sources = Object.keys(sourcesOf(volume));
  if (Object.keys((at(volume, 'spec', 'capacity') ?? {}) as object).length === 0)
    causes.push(required('spec.capacity'));
  if (listAt(volume, 'spec', 'accessModes').length === 0) causes.push(required('spec.accessModes'));
  if (sources.length === 0) causes.push(required('spec', 'must specify a volume type'));
  if (sources.length > 1) causes.push(forbidden('spec', `${sources.join(' and ')} exclude each other; keep one`));
  if (old !== undefined && JSON.stringify(sourcesOf(volume)) !== JSON.stringify(sourcesOf(old)))
    causes.push(forbidden('spec.persistentvolumesource', 'the source cannot change after creation'));
  return causes;
}

function checkClaim(claim: ApiObject, old: ApiObject | undefined): readonly Cause[] {
  const causes: Cause[] = [];
  if (listAt(claim, 'spec', 'accessModes').length === 0)
    causes.push(required('spec.accessModes', 'at least 1 access mode is required'));
  if (textAt(claim, 'spec', 'resources', 'requests', 'storage') === '')
    causes.push(required('spec.resources[storage]'));
  if (old === undefined) return causes;
  // A claim may grow, and a volume is written into it once.
  const free = [
    'resources',
    'volumeAttributesClassName',
    ...(textAt(old, 'spec', 'volumeName') === '' ? ['volumeName'] : []),
  ];
  return [...causes, ...sameFields(claim, old, ['spec'], free, 'is immutable after creation')];
}

const phase = (o: ApiObject) => (isDeleted(o) ? 'Terminating' : textAt(o, 'status', 'phase'));

export const storageResources: readonly BuiltInKind[] = [
  {
    entry: shaped({
      group: '',
      version: 'v1',
      kind: 'PersistentVolume',
      plural: 'persistentvolumes',
      namespaced: false,
    }),
    shortNames: ['pv'],
    hasStatus: true,
    columns: [
      text('Capacity', 'How much it holds', (o) => textAt(o, 'spec', 'capacity', 'storage')),
      text('Access Modes', 'How it may be used', (o) => modes(o, 'spec', 'accessModes')),
      text('Reclaim Policy', 'What becomes of it without its claim', (o) =>
        textAt(o, 'spec', 'persistentVolumeReclaimPolicy'),
      ),
      text('Status', 'Phase', phase),
      text('Claim', 'Who uses it', (o) =>
        at(o, 'spec', 'claimRef') === undefined
          ? ''
          : `${textAt(o, 'spec', 'claimRef', 'namespace')}/${textAt(o, 'spec', 'claimRef', 'name')}`,
      ),
      text('StorageClass', 'Its class', (o) => textAt(o, 'spec', 'storageClassName')),
      attributesClass,
      text('Reason', 'Why it failed', (o) => textAt(o, 'status', 'reason')),
      age,
      volumeMode,
    ],
    strategy: {
      prepareCreate(object) {
        object['status'] = { phase: 'Pending' };
      },
      validate: checkVolume,
    },
  },
  {
    entry: shaped({
      group: '',
      version: 'v1',
      kind: 'PersistentVolumeClaim',
      plural: 'persistentvolumeclaims',
      namespaced: true,
    }),
    shortNames: ['pvc'],
    hasStatus: true,
    columns: [
      text('Status', 'Phase', phase),
      text('Volume', 'Its volume', (o) => textAt(o, 'spec', 'volumeName')),
      text('Capacity', 'How much it has', (o) => textAt(o, 'status', 'capacity', 'storage')),
      text('Access Modes', 'How it may be used', (o) => modes(o, 'status', 'accessModes')),
      text('StorageClass', 'Its class', (o) => textAt(o, 'spec', 'storageClassName')),
      attributesClass,
      age,
      volumeMode,
    ],
    strategy: {
      prepareCreate(object) {
        object['status'] = { phase: 'Pending' };
      },
      validate: checkClaim,
    },
  },
  {
    entry: shaped({ ...storage, kind: 'StorageClass', plural: 'storageclasses', namespaced: false }),
    shortNames: ['sc'],
    columns: [
      text('Provisioner', 'Who makes volumes', (o) => textAt(o, 'provisioner')),
      text('ReclaimPolicy', 'What becomes of volumes', (o) => textAt(o, 'reclaimPolicy')),
      text('VolumeBindingMode', 'When volumes are bound', (o) => textAt(o, 'volumeBindingMode')),
      text('AllowVolumeExpansion', 'Whether claims may grow', (o) => at(o, 'allowVolumeExpansion') === true),
      age,
    ],
    strategy: {
      validate: (object, old) =>
        old === undefined
          ? notEmpty(object, 'provisioner')
          : ['provisioner', 'parameters', 'reclaimPolicy', 'volumeBindingMode'].flatMap((field) =>
              sameFields(object, old, [field], [], 'cannot change'),
            ),
    },
  },
  {
    entry: shaped({ ...storage, kind: 'CSIDriver', plural: 'csidrivers', namespaced: false }),
    columns: [
      text('AttachRequired', 'Whether volumes are attached', (o) => at(o, 'spec', 'attachRequired') === true),
      text('PodInfoOnMount', 'Whether it hears of the pod', (o) => at(o, 'spec', 'podInfoOnMount') === true),
      text('StorageCapacity', 'Whether capacity is tracked', (o) => at(o, 'spec', 'storageCapacity') === true),
      text('TokenRequests', 'Audiences', (o) => {
        const audiences = listAt(o, 'spec', 'tokenRequests').map((t) => textAt(t, 'audience'));
        return audiences.length === 0 ? '<unset>' : audiences.join(',');
      }),
      text('RequiresRepublish', 'Whether mounts are renewed', (o) => at(o, 'spec', 'requiresRepublish') === true),
      text('Modes', 'Life of its volumes', (o) => listAt(o, 'spec', 'volumeLifecycleModes').join(',')),
      age,
    ],
    strategy: {
      fillIn(object) {
        const spec = at(object, 'spec');
        if (isObject(spec) && listAt(spec, 'volumeLifecycleModes').length === 0)
          spec['volumeLifecycleModes'] = ['Persistent'];
      },
    },
  },
  {
    entry: shaped({ ...storage, kind: 'CSINode', plural: 'csinodes', namespaced: false }),
    columns: [number('Drivers', 'Number of drivers', (o) => listAt(o, 'spec', 'drivers').length), age],
  },
  {
    entry: shaped({ ...storage, kind: 'CSIStorageCapacity', plural: 'csistoragecapacities', namespaced: true }),
    columns: [
      text('StorageClassName', 'Its class', (o) => textAt(o, 'storageClassName')),
      text('Capacity', 'What is left', (o) => textAt(o, 'capacity')),
    ],
    strategy: { validate: (object) => notEmpty(object, 'storageClassName') },
  },
  {
    entry: shaped({ ...storage, kind: 'VolumeAttachment', plural: 'volumeattachments', namespaced: false }),
    hasStatus: true,
    columns: [
      text('Attacher', 'The driver', (o) => textAt(o, 'spec', 'attacher')),
      text('PV', 'The volume', (o) => textAt(o, 'spec', 'source', 'persistentVolumeName')),
      text('Node', 'The node', (o) => textAt(o, 'spec', 'nodeName')),
      text('Attached', 'Whether it is attached', (o) => at(o, 'status', 'attached') === true),
      age,
    ],
    strategy: {
      validate: (object, old) => (old === undefined ? [] : sameFields(object, old, ['spec'], [], 'cannot change')),
    },
  },
  {
    entry: shaped({ ...storage, kind: 'VolumeAttributesClass', plural: 'volumeattributesclasses', namespaced: false }),
    shortNames: ['vac'],
    columns: [text('DriverName', 'The driver', (o) => textAt(o, 'driverName')), age],
    strategy: { validate: (object) => notEmpty(object, 'driverName') },
  },
];
