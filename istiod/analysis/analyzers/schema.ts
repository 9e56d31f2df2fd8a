/** What the validator says of each object by itself. */
import { formatPath } from '../../../common/kube/schema/validate.ts';
import type { KubeObject } from '../../../common/kube/types.ts';
import { validateObject } from '../../validation/validate-object.ts';
import type { SortName } from '../codes.ts';
import type { Message } from '../world.ts';

export function analyzeSchema(objects: readonly KubeObject[]): readonly Message[] {
  return objects.flatMap((object) =>
    (validateObject(object) ?? []).map(({ level, path, reason, remedy }): Message => {
      const text = remedy === undefined ? reason : `${reason}; ${remedy}`;
      return { sort: sortOf(level, reason), object, text, ...(path.length === 0 ? {} : { field: formatPath(path) }) };
    }),
  );
}

function sortOf(level: string, reason: string): SortName {
  if (level === 'error') return 'SchemaValidationError';
  if (reason.startsWith('is never reached')) return 'VirtualServiceUnreachableRule';
  if (/has the same match$/.test(reason)) return 'VirtualServiceIneffectiveMatch';
  if (/is the older form$|^is not read/.test(reason)) return 'Deprecated';
  if (reason.includes('has no addresses to tell')) return 'ServiceEntryAddressesRequired';
  return 'SchemaWarning';
}
