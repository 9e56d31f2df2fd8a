/** What is analyzed: objects of files, of a cluster, or of a cluster as if the files were applied to it. */
import { MeshError } from '../../common/core/errors.ts';
import { type ConfigMap, configMapKind } from '../../common/kube/kinds/core.ts';
import type { ManifestObject } from '../../common/kube/manifests/documents.ts';
import type { Problem } from '../../common/kube/manifests/problem.ts';
import type { KubeObject, NewObject } from '../../common/kube/types.ts';
import { parseMeshConfig } from '../../istiod/model/mesh-config.ts';
import { type Cluster, withCluster } from '../access/cluster.ts';
import { readDump } from '../access/files.ts';
import { type ClusterObjects, readCluster } from '../cluster.ts';
import { readManifests } from '../manifests.ts';
import type { AnalyzeArguments } from './arguments.ts';

export interface Subject {
  readonly objects: readonly KubeObject[];
  /** Of those that files have. */
  readonly places: ReadonlyMap<KubeObject, ManifestObject>;
  readonly cluster: ClusterObjects;
  readonly rootNamespace: string;
  /** Files that are no objects. */
  readonly broken: readonly Problem[];
}

/** MeshError CONFIG, API_UNAVAILABLE. */
export async function readSubject(args: AnalyzeArguments): Promise<Subject> {
  const files = await readManifests(args.files);
  // Of two that name one object the second is what would be applied last.
  const last = new Map<string, readonly [KubeObject, ManifestObject]>();
  for (const manifest of files.flatMap((f) => f.objects)) {
    const object = withNamespace(manifest.object, args.namespace);
    last.set(idOf(object), [object, manifest]);
  }
  const places = new Map(last.values());
  const { cluster, rootNamespace } = await inCluster(args);
  return {
    objects: [...places.keys(), ...cluster.objects.filter((o) => !last.has(idOf(o)))],
    places,
    cluster,
    rootNamespace,
    broken: args.ignoresUnknown ? [] : files.flatMap((f) => f.problems),
  };
}

async function inCluster({ cluster: values, patience, revision, meshConfigFile }: AnalyzeArguments) {
  const given = meshConfigFile === undefined ? undefined : await readDump(meshConfigFile);
  if (values === undefined) {
    const cluster: ClusterObjects = { objects: [], complete: new Set(), problems: [] };
    const rootNamespace = rootNamespaceOf(meshConfigFile, given) ?? 'istio-system';
    const objects = given === undefined ? [] : [meshConfigOf(rootNamespace, given)];
    return { cluster: { ...cluster, objects }, rootNamespace };
  }
  return withCluster(values, process.env, async (access) => {
    const late = new Promise<never>((_, reject) => {
      const text = `the cluster was not read within ${patience / 1000} s; --timeout says for how long`;
      setTimeout(() => reject(new MeshError('API_UNAVAILABLE', text)), patience).unref();
    });
    const all = Promise.all([readCluster(access.client), given ?? meshConfigIn(access, revision)]);
    const [cluster, text] = await Promise.race([all, late]);
    const rootNamespace = rootNamespaceOf(meshConfigFile ?? 'MeshConfig', text) ?? access.istioNamespace;
    const objects = [...cluster.objects, ...(text === undefined ? [] : [meshConfigOf(rootNamespace, text)])];
    return { cluster: { ...cluster, objects }, rootNamespace };
  });
}

/** undefined: there is none, or it may not be read; the latter is told of by what reads the rest. */
async function meshConfigIn({ client, istioNamespace }: Cluster, revision: string): Promise<string | undefined> {
  const name = revision === 'default' ? 'istio' : `istio-${revision}`;
  const found = await client.get<ConfigMap>(configMapKind, { namespace: istioNamespace, name }).catch((e: unknown) => {
    if (e instanceof MeshError && e.code === 'CONFIG') return undefined;
    throw e;
  });
  return found?.data?.['mesh'];
}

/** What policies that name its providers are checked by. */
function meshConfigOf(namespace: string, mesh: string): ConfigMap {
  const metadata = { name: 'istio', namespace, uid: '', resourceVersion: '' };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { mesh } };
}

function rootNamespaceOf(from: string | undefined, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const parsed = parseMeshConfig([text]);
  if (parsed.kind === 'ok') return parsed.config.rootNamespace;
  throw new MeshError('CONFIG', `${from}: ${parsed.reason}`);
}

/** Cluster-scoped kinds are known by their validation; a namespace there is told as a mistake. */
function withNamespace(object: NewObject, namespace: string): KubeObject {
  const scoped = /^(Namespace|Node|GatewayClass|XMesh|CustomResourceDefinition|ClusterRole.*)$/.test(object.kind);
  const metadata = scoped || object.metadata.namespace !== undefined ? {} : { namespace };
  return { ...object, metadata: { uid: '', resourceVersion: '', ...object.metadata, ...metadata } };
}

function idOf({ apiVersion, kind, metadata }: KubeObject): string {
  return `${apiVersion.replace(/\/?[^/]+$/, '')} ${kind} ${metadata.namespace ?? ''} ${metadata.name}`;
}
