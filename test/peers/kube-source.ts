/**
 * What every source of Kubernetes objects does, on the API server that KUBECONFIG names, in namespaces of its own that are removed again:
 *
 *   KUBECONFIG=FILE scripts/pinned-node --test test/peers/kube-source.ts
 */
import { randomBytes } from 'node:crypto';
import { createKubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { namespaceKind } from '../../common/kube/kinds/core.ts';
import { testKubeSource } from '../../common/kube/testing/source-compliance.ts';
import type { Kind, KubeObject, KubeSource, ObjectKey, Within } from '../../common/kube/types.ts';

const paths = process.env['KUBECONFIG'];
if (!paths) throw new Error('KUBECONFIG is not set: the kubeconfig of the server to try');
const access = loadKubeconfig(paths);

/** Each namespace of the tests, the Namespace itself too, is another one on the server: its name with `prefix` before it. */
function behind(source: KubeSource, prefix: string): KubeSource {
  const far = (name: string | undefined) => (name === undefined ? undefined : `${prefix}${name}`);
  const there = <T extends ObjectKey>(kind: Kind, key: T): T =>
    kind.kind === 'Namespace' ? { ...key, name: far(key.name)! } : { ...key, namespace: far(key.namespace) };
  const here = <T extends KubeObject>(o: T): T => {
    const { name, namespace } = o.metadata;
    const near =
      o.kind === 'Namespace' ? { name: name.slice(prefix.length) } : { namespace: namespace?.slice(prefix.length) };
    return { ...o, metadata: { ...o.metadata, ...near } };
  };
  const isOurs = ({ kind, metadata: m }: KubeObject) =>
    (kind === 'Namespace' ? m.name : (m.namespace ?? '')).startsWith(prefix);
  const within = ({ namespace, name }: Within = {}): Within => ({
    ...(namespace !== undefined && { namespace: far(namespace)! }),
    ...(name !== undefined && { name }),
  });
  return {
    async list(kind, signal, options) {
      const { items, resourceVersion } = await source.list(kind, signal, { within: within(options?.within) });
      const trim = options?.trim ?? ((o) => o);
      return { items: items.filter(isOurs).map((o) => trim(here(o))), resourceVersion };
    },
    async *watch(kind, version, signal, of) {
      for await (const event of source.watch(kind, version, signal, within(of))) {
        if (event.type === 'BOOKMARK') yield event;
        else if (isOurs(event.object)) yield { ...event, object: here(event.object) };
      }
    },
    async get(kind, key) {
      const found = await source.get(kind, there(kind, key));
      return found && here(found);
    },
    create: async (kind, object) =>
      here(await source.create(kind, { ...object, metadata: there(kind, object.metadata) })),
    patch: async (kind, key, patch, options) => here(await source.patch(kind, there(kind, key), patch, options)),
    delete: (kind, key, options) => source.delete(kind, there(kind, key), options),
  };
}

testKubeSource(`the API server at ${access.server.host}`, async () => {
  const [source, other] = [createKubeClient({ access }), createKubeClient({ access })];
  const prefix = `aquifer-test-${randomBytes(4).toString('hex')}-`;
  const seen = behind(source, prefix);
  await seen.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
  return {
    source: seen,
    other: behind(other, prefix),
    async [Symbol.asyncDispose]() {
      const { items } = await seen.list(namespaceKind, AbortSignal.timeout(30_000));
      for (const { metadata } of items) await seen.delete(namespaceKind, { name: metadata.name });
      source.close();
      other.close();
    },
  };
});
