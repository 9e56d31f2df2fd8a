/** A mesh of YAML for tests: what node proxies would decode of it. */
import assert from 'node:assert/strict';
import { parseAllDocuments } from 'yaml';
import { decodeAddress, decodeAuthorization } from '../../../common/api/index.ts';
import { keyOf } from '../../../common/kube/informer.ts';
import type { KubeObject } from '../../../common/kube/types.ts';
import type { AuthorizationPolicy, Service, Workload } from '../../../common/mesh/types.ts';
import type { Credentials } from '../../envoy/credentials.ts';
import { tableOf as inputTable, meshKinds } from '../ambient/inputs.ts';
import { AmbientIndex, type MeshChange } from '../ambient-index.ts';
import type { Table } from '../graph/table.ts';
import { defaultSettings, type MeshSettings } from '../settings.ts';

const clusterScoped = new Set(['Namespace', 'Node', 'GatewayClass']);
let version = 0;

export class TestMesh {
  readonly index: AmbientIndex;

  constructor(yaml = '', settings: Partial<MeshSettings> = {}, credentials?: Credentials) {
    const onFailure = ({ error }: { readonly error: unknown }) => {
      throw error;
    };
    this.index = new AmbientIndex({
      settings: { ...defaultSettings, clusterId: 'c', ...settings },
      onFailure,
      ...(credentials && { credentials }),
    });
    this.apply(yaml);
  }

  /** Objects without a namespace are of `shop`; each gets a new version. */
  apply(yaml: string): MeshChange | undefined {
    for (const object of objectsOf(yaml)) this.table(object.kind).set(keyOf(object.metadata), object);
    return this.index.flush();
  }

  /** `kind` and `namespace/name`. */
  remove(kind: string, key: string): MeshChange | undefined {
    this.table(kind).set(key, undefined);
    return this.index.flush();
  }

  table(kind: string): Table<KubeObject> {
    return tableOf(this.index, kind);
  }

  /** By uid, or the name of a pod in `shop`. */
  workload(name: string): Workload | undefined {
    const found = this.#address(name.includes('/') ? name : `c//Pod/shop/${name}`);
    assert.ok(found?.kind !== 'service');
    return found;
  }

  /** By `namespace/hostname`, or the name of a Service in `shop`. */
  service(name: string): Service | undefined {
    const found = this.#address(name.includes('/') ? name : `shop/${name}.shop.svc.cluster.local`);
    assert.ok(found?.kind !== 'workload');
    return found;
  }

  policy(name: string): AuthorizationPolicy | undefined {
    const bytes = this.index.authorizations.get(name)?.bytes;
    if (!bytes) return undefined;
    const decoded = decodeAuthorization(bytes);
    assert.ok(decoded.kind === 'ok', JSON.stringify(decoded));
    return decoded.value;
  }

  /** Of the object: type, status and reason. */
  conditions(kind: string, name: string, namespace = 'shop'): Readonly<Record<string, string>> {
    const all = [...(this.index.conditions({ kind, namespace, name }) ?? [])];
    return Object.fromEntries(all.flatMap(([type, c]) => (c ? [[type, `${c.status} ${c.reason}`]] : [])));
  }

  /** Kind and key of what a resource was made of. */
  inputsOf(name: string): readonly string[] {
    const resource = this.index.addresses.get(name) ?? this.index.authorizations.get(name);
    return (resource?.inputs ?? []).map((i) => `${i.kind} ${keyOf(i)}`);
  }

  #address(name: string): Workload | Service | undefined {
    const bytes = this.index.addresses.get(name)?.bytes;
    if (!bytes) return undefined;
    const decoded = decodeAddress(bytes);
    assert.ok(decoded.kind === 'ok', JSON.stringify(decoded));
    return decoded.value;
  }
}

export function tableOf(index: AmbientIndex, kind: string): Table<KubeObject> {
  const mesh = meshKinds.find((k) => k.kind.kind === kind);
  assert.ok(mesh, kind);
  return inputTable(index.inputs, mesh);
}

export function objectsOf(yaml: string): readonly KubeObject[] {
  return parseAllDocuments(yaml).flatMap((document) => {
    assert.deepEqual(document.errors, []);
    const value = document.toJS() as KubeObject | null;
    if (value === null) return [];
    const { kind, metadata } = value;
    const namespace = clusterScoped.has(kind) ? {} : { namespace: metadata.namespace ?? 'shop' };
    const filled = { generation: 1, ...metadata, uid: metadata.name, ...namespace, resourceVersion: String(++version) };
    return [{ ...value, apiVersion: value.apiVersion ?? 'v1', metadata: filled }];
  });
}
