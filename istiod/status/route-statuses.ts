/** Keeps what the status of routes, and of rules of their destinations, shall say, and tells of which objects it may be something else. */

import {
  type XBackendTrafficPolicy,
  xBackendTrafficPolicyKind,
} from '../../common/kube/kinds/gateway-api/experimental.ts';
import { type GrpcRoute, grpcRouteKind } from '../../common/kube/kinds/gateway-api/grpc-route.ts';
import { httpRouteKind } from '../../common/kube/kinds/gateway-api/http-route.ts';
import { tcpRouteKind, tlsRouteKind } from '../../common/kube/kinds/gateway-api/stream-routes.ts';
import { type DestinationRule, destinationRuleKind } from '../../common/kube/kinds/istio/destination-rule.ts';
import { envoyFilterKind } from '../../common/kube/kinds/istio/envoy-filter.ts';
import { trafficExtensionKind, wasmPluginKind } from '../../common/kube/kinds/istio/extensions.ts';
import { sidecarKind } from '../../common/kube/kinds/istio/sidecar.ts';
import { telemetryKind } from '../../common/kube/kinds/istio/telemetry.ts';
import { type VirtualService, virtualServiceKind } from '../../common/kube/kinds/istio/virtual-service.ts';
import type { Kind, KubeObject } from '../../common/kube/types.ts';
import { destinationRuleConditions, trafficPolicyStatuses } from '../envoy/clusters/status.ts';
import type { GatewayRoute } from '../envoy/routes/gateway-api/attach.ts';
import {
  type ParentStatus,
  parentStatuses,
  type RouteConditions,
  virtualServiceConditions,
} from '../envoy/routes/status.ts';
import { unservedConditions } from '../envoy/unserved.ts';
import type { Conditions } from '../model/ambient/context.ts';
import { type ConditionWriter, type WriteOutcome, writeConditions, writeStatus } from '../model/condition.ts';
import { Memo } from '../model/envoy/memo.ts';
import type { EnvoyMesh } from '../model/envoy/mesh-view.ts';
import { type ObjectName, objectKey } from '../model/resource.ts';
import { type Extension, extensionConditions } from '../modules/extensions.ts';
import { ancestorsFor, parentsFor } from './route-parents.ts';

export interface RouteStatusesOptions {
  readonly mesh: EnvoyMesh;
  /** Objects as they are, by `namespace/name`. */
  readonly objectsOf: (kind: Kind) => ReadonlyMap<string, KubeObject>;
  readonly onFailure: (object: string, error: unknown) => void;
  readonly onJudged: (objects: readonly ObjectName[]) => void;
}

const kinds: readonly Kind[] = [
  xBackendTrafficPolicyKind,
  sidecarKind,
  envoyFilterKind,
  wasmPluginKind,
  trafficExtensionKind,
  telemetryKind,
  virtualServiceKind,
  destinationRuleKind,
  httpRouteKind,
  grpcRouteKind,
  tcpRouteKind,
  tlsRouteKind,
];

/** What one object's status shall say: of each parent or target, or of the object. */
export type Judgement =
  | { readonly kind: 'parents' | 'ancestors'; readonly parents: readonly ParentStatus[] }
  | { readonly kind: 'object'; readonly conditions: RouteConditions };

export class RouteStatuses {
  readonly #o: RouteStatusesOptions;
  readonly #memo: Memo;
  readonly #judged = new Map<string, Judgement>();

  constructor(options: RouteStatusesOptions) {
    this.#o = options;
    this.#memo = new Memo({ mesh: options.mesh, onFailure: options.onFailure });
  }

  /** undefined: nothing is said of it. */
  of(name: ObjectName): Judgement | undefined {
    return this.#judged.get(objectKey(name));
  }

  /** After every change of the mesh; `lookups` find something else now. */
  changed(lookups: ReadonlySet<string>): void {
    this.#memo.touch(lookups);
    const news: ObjectName[] = [];
    const present = new Set<string>();
    for (const kind of kinds) {
      for (const object of this.#o.objectsOf(kind).values()) {
        const name = nameOf(kind, object);
        const key = objectKey(name);
        present.add(key);
        // What the object says counts by its generation: no lookup may lead to it.
        const id = `${key} ${object.metadata.generation ?? object.metadata.resourceVersion}`;
        const { value } = this.#memo.remember(id, (view) => judge(view, kind, object));
        if (value === undefined || this.#judged.get(key) === value) continue;
        this.#judged.set(key, value);
        news.push(name);
      }
    }
    for (const key of this.#judged.keys()) if (!present.has(key)) this.#judged.delete(key);
    this.#memo.sweep();
    if (news.length > 0) this.#o.onJudged(news);
  }
}

/** What the model says of an object, and what of a route. */
export async function writeJudgement(
  writer: ConditionWriter,
  kind: Kind<KubeObject>,
  object: KubeObject,
  conditions: Conditions,
  judgement: Judgement | undefined,
): Promise<WriteOutcome> {
  // Those have no conditions of their own.
  if (judgement === undefined && kind.group.startsWith('gateway.networking.')) return 'unchanged';
  if (judgement === undefined || judgement.kind === 'object')
    return writeConditions(writer, kind, object, new Map([...conditions, ...(judgement?.conditions ?? [])]));
  const now = new Date(writer.clock.wall()).toISOString();
  if (judgement.kind === 'ancestors') {
    const ancestors = ancestorsFor(object, judgement.parents, conditions.get('Accepted'), now);
    return ancestors === undefined ? 'unchanged' : writeStatus(writer, kind, object, { ancestors });
  }
  const parents = parentsFor(object, judgement.parents, conditions.get('Accepted'), now);
  return parents === undefined ? 'unchanged' : writeStatus(writer, kind, object, { parents });
}

function judge(view: Parameters<typeof parentStatuses>[0], kind: Kind, object: KubeObject): Judgement {
  if (kind === wasmPluginKind || kind === trafficExtensionKind) {
    const conditions = extensionConditions(view, object as Extension);
    if (conditions) return { kind: 'object', conditions };
  }
  const unserved = unservedConditions(object, () => view);
  if (unserved !== undefined) return { kind: 'object', conditions: unserved };
  switch (kind.kind) {
    case virtualServiceKind.kind:
      return { kind: 'object', conditions: virtualServiceConditions(view, object as VirtualService) };
    case destinationRuleKind.kind:
      return { kind: 'object', conditions: destinationRuleConditions(view, object as DestinationRule) };
    case xBackendTrafficPolicyKind.kind:
      return { kind: 'ancestors', parents: trafficPolicyStatuses(view, object as XBackendTrafficPolicy) };
    default:
      return { kind: 'parents', parents: parentStatuses(view, object as GrpcRoute as GatewayRoute) };
  }
}

function nameOf({ kind }: Kind, { metadata: { name, namespace } }: KubeObject): ObjectName {
  return { kind, ...(namespace !== undefined && { namespace }), name };
}
