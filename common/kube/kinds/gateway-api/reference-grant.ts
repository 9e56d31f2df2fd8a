/** gateway.networking.k8s.io ReferenceGrant. */
import { about, object, type TypeOf } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { age, atomic, gatewayApiKind, group, kind, namespace, objectName } from './common.ts';

const spec = object({
  'from!': about(
    'Who may refer to objects of this namespace.',
    atomic(object({ 'group!': group, 'kind!': kind, 'namespace!': namespace }), { minItems: 1, maxItems: 16 }),
  ),
  'to!': about(
    'Objects that may be referred to; without a name all of the kind.',
    atomic(object({ 'group!': group, 'kind!': kind, name: objectName }), { minItems: 1, maxItems: 16 }),
  ),
});

export interface ReferenceGrant extends KubeObject {
  readonly spec: TypeOf<typeof spec>;
}

export const referenceGrantKind: Kind<ReferenceGrant> = {
  group: 'gateway.networking.k8s.io',
  version: 'v1',
  kind: 'ReferenceGrant',
  plural: 'referencegrants',
  namespaced: true,
};

export const referenceGrant = gatewayApiKind(referenceGrantKind, {
  description: 'Lets objects of other namespaces refer to objects of this one.',
  versions: ['v1', 'v1beta1'],
  storage: 'v1beta1',
  shortNames: ['refgrant'],
  columns: [age],
  spec,
});
