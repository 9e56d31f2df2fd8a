/** What may be made where: nothing in a namespace that is not there or is being deleted; the first namespaces stay. */
import type { Namespace } from '../../../../common/kube/kinds/core.ts';
import type { AdmissionPlugin, AdmissionRequest } from '../../admission/admission.ts';
import { forbidden, namespaceTerminating, notFound } from '../../status.ts';
import type { Collection } from '../runtime/collection.ts';

const immortal = ['default', 'kube-system', 'kube-public'];

export function namespaceAdmission(namespaces: Collection<Namespace>): AdmissionPlugin {
  const check = (request: AdmissionRequest): void => checkNamespace(request, (name) => namespaces.get('', name));
  // Once before others work on the object, and once more when it is about to be written.
  return { name: 'NamespaceLifecycle', mutate: check, validate: check };
}

/** ApiError 403, 404. */
export function checkNamespace(request: AdmissionRequest, find: (name: string) => Namespace | undefined): void {
  const { operation, resource, subresource, namespace, name } = request;
  if (resource.group === '' && resource.resource === 'namespaces') {
    if (operation === 'DELETE' && immortal.includes(name))
      throw forbidden(resource, name, 'this namespace may not be deleted');
    return;
  }
  if (operation !== 'CREATE' || subresource !== '' || !resource.namespaced) return;
  const found = find(namespace);
  if (found === undefined) throw notFound({ group: '', resource: 'namespaces' }, namespace);
  if (found.metadata.deletionTimestamp !== undefined) throw namespaceTerminating(resource, name, namespace);
}
