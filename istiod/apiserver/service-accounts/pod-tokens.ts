/**
 * What a new pod gets of its service account, shown in its spec: the account's name, and a volume with a token, the cluster's CA and the
 * pod's namespace in each container, unless the pod or the account forgoes it.
 */
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { AdmissionPlugin } from '../admission/admission.ts';
import { fromJson } from '../objects.ts';
import { generateName } from '../rest/lifecycle.ts';
import type { Store } from '../storage/types.ts';

const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
const volumePrefix = 'kube-api-access-';
/** A little over an hour, as Kubernetes' own: kubelets renew tokens when most of their time has passed. */
const expirationSeconds = 3607;

export function podTokens(store: Store): AdmissionPlugin {
  return {
    name: 'ServiceAccount',
    mutate({ resource, subresource, operation, object, namespace }) {
      if (resource.group !== '' || resource.resource !== 'pods' || subresource !== '' || operation !== 'CREATE') return;
      const spec = object?.['spec'];
      if (!isObject(spec)) return;
      const account = String(spec['serviceAccountName'] || 'default');
      spec['serviceAccountName'] = account;
      spec['serviceAccount'] = account;
      if ((spec['automountServiceAccountToken'] ?? automounts(store, namespace, account)) === false) return;
      addVolume(spec);
    },
  };
}

function automounts(store: Store, namespace: string, name: string): unknown {
  const stored = store.get({ resource: 'serviceaccounts.core', namespace, name });
  return stored === undefined ? undefined : fromJson(stored.json)['automountServiceAccountToken'];
}

function addVolume(spec: Record<string, unknown>): void {
  const containers = [...objectsAt(spec, 'initContainers'), ...objectsAt(spec, 'containers')];
  // Whoever mounts something else there means it.
  const without = containers.filter((c) => objectsAt(c, 'volumeMounts').every((m) => m['mountPath'] !== mountPath));
  if (without.length === 0) return;
  const volumes = objectsAt(spec, 'volumes');
  const there = volumes.find((v) => String(v['name']).startsWith(volumePrefix))?.['name'];
  const name = there ?? generateName(volumePrefix);
  if (there === undefined)
    spec['volumes'] = [...volumes, { name, projected: { sources: sources(), defaultMode: 0o644 } }];
  for (const container of without) {
    container['volumeMounts'] = [...objectsAt(container, 'volumeMounts'), { name, readOnly: true, mountPath }];
  }
}

function sources(): readonly object[] {
  return [
    { serviceAccountToken: { expirationSeconds, path: 'token' } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    {
      downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] },
    },
  ];
}

function objectsAt(value: Record<string, unknown>, field: string): Record<string, unknown>[] {
  const list = value[field];
  return Array.isArray(list) ? list.filter(isObject) : [];
}
