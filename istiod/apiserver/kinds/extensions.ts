/** apiextensions.k8s.io, as the API server serves it. */
import { customResourceDefinitionEntry } from '../../../common/kube/schema/extension.ts';
import { definitionStrategy } from '../crd/definition.ts';
import type { BuiltInKind } from './built-in.ts';
import { text } from './columns.ts';

export const extensionResources: readonly BuiltInKind[] = [
  {
    entry: customResourceDefinitionEntry,
    shortNames: ['crd', 'crds'],
    categories: ['api-extensions'],
    hasStatus: true,
    hasGeneration: true,
    columns: [text('Created At', 'When it was made', (o) => o.metadata.creationTimestamp ?? '')],
    strategy: definitionStrategy,
  },
];
