/** What each namespace has: the ServiceAccount `default`, and the server's CA in the ConfigMap `kube-root-ca.crt`. */

import { configMapKind, serviceAccountKind } from '../../../../common/kube/kinds/core.ts';
import { fromJson } from '../../objects.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { splitKey } from '../runtime/collection.ts';
import { isCode, isTerminatingNamespace } from '../runtime/writer.ts';

const account = 'default';
const rootCa = 'kube-root-ca.crt';
const file = 'ca.crt';

/** `certificateAuthority` in PEM. */
export function accountsController(cluster: Cluster, certificateAuthority: string): void {
  const { writer, queue } = cluster.desk('service-account-controller');
  const { store } = cluster.rest;
  const data = { [file]: certificateAuthority };

  const work = queue(async (key) => {
    const { name: namespace } = splitKey(key);
    const found = cluster.namespaces.get('', namespace);
    if (found === undefined || found.metadata.deletionTimestamp !== undefined) return;
    try {
      if (store.get({ resource: 'serviceaccounts.core', namespace, name: account }) === undefined) {
        await writer.create(serviceAccountKind, { metadata: { name: account, namespace } });
      }
      const stored = store.get({ resource: 'configmaps.core', namespace, name: rootCa });
      if (stored === undefined) {
        const annotations = {
          'kubernetes.io/description':
            'The certificate authority of the API server: who is in the cluster verifies the server by it.',
        };
        await writer.create(configMapKind, { metadata: { name: rootCa, namespace, annotations }, data });
        return;
      }
      const now = fromJson<{ data?: Record<string, string> }>(stored.json).data;
      if (now?.[file] === certificateAuthority) return;
      await writer.update(configMapKind, { namespace, name: rootCa }, (object) => {
        object['data'] = { ...data };
        return 'changed';
      });
    } catch (e) {
      // The namespace went, or a client was quicker: the change of the object itself asks again.
      if (!isTerminatingNamespace(e) && !isCode(e, 404) && !isCode(e, 409)) throw e;
    }
  });

  cluster.namespaces.onChange((current) => {
    if (current !== undefined) work.add(`/${current.metadata.name}`);
  });
  for (const [resource, name] of [
    ['serviceaccounts.core', account],
    ['configmaps.core', rootCa],
  ] as const) {
    cluster.feeds.read(resource, ({ key }) => {
      if (key.name === name) work.add(`/${key.namespace}`);
    });
  }
}
