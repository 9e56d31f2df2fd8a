/** Keeps an ambient index fed from a KubeSource. */
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { createInformer, type Informer, keyOf } from '../../common/kube/informer.ts';
import { namespaceKind, nodeKind, type Pod, podKind, type Service, serviceKind } from '../../common/kube/kinds/core.ts';
import { endpointSliceKind } from '../../common/kube/kinds/discovery.ts';
import { gatewayKind } from '../../common/kube/kinds/gateway-api/gateway.ts';
import {
  type AuthorizationPolicy,
  authorizationPolicyKind,
  peerAuthenticationKind,
} from '../../common/kube/kinds/security.ts';
import type { Kind, KubeObject, KubeSource } from '../../common/kube/types.ts';
import { AmbientIndex, type MeshChange } from './ambient-index.ts';
import type { ObjectName } from './resource.ts';
import type { MeshSettings } from './settings.ts';

export interface MeshWatchOptions {
  readonly source: KubeSource;
  readonly settings: MeshSettings;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly onChange: (change: MeshChange) => void;
  /** The policy's condition may have to be written again. */
  readonly onPolicy: (key: string) => void;
  /** The same of a Service. */
  readonly onService: (key: string) => void;
  /** An object of the mesh's own kinds has another generation, which may have changed no resource. */
  readonly onGeneration: (object: ObjectName) => void;
}

export interface MeshWatch {
  readonly index: AmbientIndex;
  readonly pods: Informer<Pod>;
  readonly policies: Informer<AuthorizationPolicy>;
  readonly services: Informer<Service>;
  /** Resolves when everything has been listed and computed. */
  readonly synced: Promise<void>;
}

export function watchMesh(options: MeshWatchOptions): MeshWatch {
  const { log, settings } = options;
  let scheduled = false;
  let isSynced = false;
  const changedPolicies = new Set<string>();
  const changedServices = new Set<string>();
  const changedObjects: ObjectName[] = [];

  // Changes that arrive together, as those of one file do, are computed together.
  function schedule(): void {
    if (scheduled || !isSynced) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      flush();
    });
  }

  function flush(): void {
    try {
      const change = index.flush();
      if (change !== undefined) options.onChange(change);
      for (const key of changedPolicies) options.onPolicy(key);
      changedPolicies.clear();
      for (const key of changedServices) options.onService(key);
      changedServices.clear();
      for (const object of changedObjects.splice(0)) options.onGeneration(object);
    } catch (e) {
      log.error('computing the mesh failed; what was announced stays', { error: describeError(e) });
    }
  }

  function informer<T extends KubeObject>(kind: Kind<T>, changed: (objects: readonly T[], key: string) => void) {
    const handle = (...objects: T[]) => {
      const { metadata } = objects[0]!;
      changed(objects, keyOf(metadata));
      const isOurs = kind.group.endsWith('istio.io');
      if (isOurs && metadata.generation !== objects[1]?.metadata.generation) {
        changedObjects.push({ ...metadata, kind: kind.kind });
      }
      schedule();
    };
    return createInformer({
      source: options.source,
      kind,
      log,
      signal: options.signal,
      handlers: { added: handle, modified: handle, deleted: handle },
    });
  }

  const namespaces = informer(namespaceKind, (_, key) => {
    index.namespaceChanged(key);
    for (const [service, { metadata }] of services.objects)
      if (metadata.namespace === key) changedServices.add(service);
  });
  const nodes = informer(nodeKind, (_, key) => index.nodeChanged(key));
  const pods = informer(podKind, (_, key) => index.podChanged(key));
  const services = informer(serviceKind, ([s], key) => {
    index.serviceChanged(key, s?.metadata.namespace ?? '');
    changedServices.add(key);
  });
  const gateways = informer(gatewayKind, (_, changed) => {
    index.gatewayChanged(changed);
    for (const key of services.objects.keys()) changedServices.add(key);
  });
  const slices = informer(endpointSliceKind, (objects, key) => index.sliceChanged(key, objects));
  const policies = informer(authorizationPolicyKind, (objects, key) => {
    index.policyChanged(key, objects);
    changedPolicies.add(key);
  });
  const peers = informer(peerAuthenticationKind, ([p], key) => index.peerChanged(key, p?.metadata.namespace ?? ''));
  const index = new AmbientIndex(
    {
      namespaces: namespaces.objects,
      nodes: nodes.objects,
      pods: pods.objects,
      services: services.objects,
      slices: slices.objects,
      policies: policies.objects,
      peers: peers.objects,
      gateways: gateways.objects,
    },
    settings,
  );
  const all = [namespaces, nodes, pods, services, slices, policies, peers, gateways];
  const synced = Promise.all(all.map((i) => i.synced)).then(() => {
    isSynced = true;
    flush();
  });
  return { index, pods, policies, services, synced };
}
